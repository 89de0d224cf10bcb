#!/bin/sh
# Start an SFTP server, a mail server and a share on this machine, run both flows, and show what arrived.
# Python 3.11 or newer is all this needs; Samba is used where it is installed and the user is root.
#
#   sh demo/usecase-multiflows-local/run.sh              run the flows once
#   sh demo/usecase-multiflows-local/run.sh COMMAND      run a command while the servers are up, such as `sh`
set -eu
cd "$(dirname "$0")/../.."
demo=demo/usecase-multiflows-local

packages="aetherflow, aiosmtpd, aiosmtplib, asyncssh, lxml, pyzipper, python_calamine, smbprotocol"
if [ ! -x .venv/bin/aetherflow ] || ! .venv/bin/python -c "import $packages" 2>/dev/null; then
    echo "== Installing AetherFlow with the extras for archives, Excel, mail, SFTP and SMB into .venv (once, a minute)"
    sh demo/install.sh archive,excel,mail,sftp,smb "aiosmtpd>=1.4.6"
fi
. "$demo/environment.sh"
[ $# -gt 0 ] || set -- sh "$demo/flows.sh"
exec .venv/bin/python "$demo/servers.py" "$@"

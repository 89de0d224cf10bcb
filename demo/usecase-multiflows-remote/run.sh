#!/bin/sh
# Run both flows on the servers that the environment names (see variables.sh.example). If SFTP_HOST is not set: show
# what validate and doctor say then, and run the flows on the servers of the local demo.
set -eu
cd "$(dirname "$0")/../.."
demo=demo/usecase-multiflows-remote

packages="aetherflow, aiosmtpd, aiosmtplib, asyncssh, lxml, pyzipper, python_calamine, smbprotocol, sqlalchemy"
if [ ! -x .venv/bin/aetherflow ] || ! .venv/bin/python -c "import $packages" 2>/dev/null; then
    echo "== Installing AetherFlow with the extras for archives, databases, Excel, mail, SFTP and SMB into .venv (once, a minute)"
    sh demo/install.sh archive,db,excel,mail,sftp,smb "aiosmtpd>=1.4.6"
fi
. "$demo/environment.sh"
[ -z "${SFTP_HOST:-}" ] || exec sh "$demo/flows.sh"

echo "== No server is named"
for flow in uc1 uc2; do
    echo "== What is missing for $flow: aetherflow validate --bundle-manifest $demo/bundles/$flow.yaml"
    aetherflow validate --bundle-manifest "$demo/bundles/$flow.yaml" 2>&1 | sed -n 's/.*warning\[[A-Z0-9]*\]: /   /p' | sort -u
    echo "== And: aetherflow doctor --bundle-manifest $demo/bundles/$flow.yaml"
    aetherflow doctor --bundle-manifest "$demo/bundles/$flow.yaml" | sed -n -e 's/^error */   /p' -e 's/^warning .*\[AF430\] /   /p' | sort -u
done
echo "== Running the flows on the servers of the local demo instead"
exec .venv/bin/python demo/usecase-multiflows-local/servers.py sh "$demo/local_servers.sh"

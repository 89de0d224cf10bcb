#!/bin/sh
# Set the variables of this demo to the servers of the local one, and run its flows: the second time nothing is left.
set -eu
export SFTP_HOST=127.0.0.1 SFTP_PORT="$DEMO_SFTP_PORT" SFTP_USER=demo
export SFTP_KEY="$DEMO_DIR/keys/id_ed25519" SFTP_KNOWN_HOSTS="$DEMO_DIR/keys/known_hosts"
export SMB_HOST=127.0.0.1 SMB_PORT="${DEMO_SMB_PORT:-445}" SMB_SHARE=REPORTS SMB_USER=demo SMB_PASSWORD="${DEMO_SMB_PASSWORD:-}"
export SHARE_RESOURCE=share SHARE_FOLDER="$DEMO_DIR/share"
[ "$DEMO_SHARE" = share_server ] || SHARE_RESOURCE=share_folder
export SMTP_HOST=127.0.0.1 SMTP_PORT="$DEMO_SMTP_PORT" SMTP_STARTTLS=false
export SMTP_USER=demo SMTP_PASSWORD="$DEMO_SMTP_PASSWORD"
export MAIL_FROM=aetherflow@example.org MAIL_TO='Sales <sales@example.org>'
export EXA_DSN="sqlite:///$DEMO_DIR/shop.sqlite"
sh demo/usecase-multiflows-remote/flows.sh
echo "== Running uc1 again: there is nothing to fetch, so its third job says so by mail"
aetherflow run --bundle-manifest demo/usecase-multiflows-remote/bundles/uc1.yaml

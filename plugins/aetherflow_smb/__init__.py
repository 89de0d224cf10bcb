"""The SMB plugin: the connectors `smb:*` for Windows shares and their four steps."""

"""The SFTP plugin: the connector `sftp:asyncssh`, its four steps, and `ssh.process`."""

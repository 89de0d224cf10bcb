"""Files that move: the steps that list, download, upload and delete, over any `RemoteFiles` connector."""

"""The door of every port: HTTP/1.1 as clients and proxies speak it, and answers as bytes."""

"""The ways to a cluster and its hosts: logins, TLS, SSH, rights."""

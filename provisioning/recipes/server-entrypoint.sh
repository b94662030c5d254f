#!/bin/sh
# Entry point of the server images that are built from Debian packages; it behaves as the official
# image's: options or a configuration file alone mean the server, and root becomes the server's user.
set -e
case "${1:-}" in
    "" | -* | *.conf) set -- @SERVER@-server "$@" ;;
esac
case "$1" in
    @SERVER@-server | @SERVER@-sentinel)
        if [ "$(id -u)" = 0 ]; then
            if [ "$PWD" != / ]; then
                find . ! -user @SERVER@ -exec chown @SERVER@:@SERVER@ {} +
            fi
            exec setpriv --reuid @SERVER@ --regid @SERVER@ --clear-groups -- "$0" "$@"
        fi
        if [ "$(umask)" = 0022 ]; then
            umask 0077
        fi
        ;;
esac
exec "$@"

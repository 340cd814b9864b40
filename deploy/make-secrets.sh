#!/bin/sh
# A token for every name: secrets/NAME.token for the client, and an entry in secrets/tokens.yaml for the server.
#
#     ./make-secrets.sh                 trainer-1, trainer-2 and operator
#     ./make-secrets.sh trainer-3       one more; names that have a token keep it
#
# Compose mounts these files as they are, and the containers' user is none of this machine's: the files are readable
# to all, in a folder that only you can enter.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
chmod 700 secrets        # also one that exists: a clone or a copy may have made it readable
[ $# -gt 0 ] || set -- trainer-1 trainer-2 operator
for name in "$@"; do
    case $name in
        '' | *[!A-Za-z0-9_-]*) echo "a name has letters, digits, - and _: $name" >&2; exit 2 ;;
    esac
    [ ! -e "secrets/$name.token" ] || continue
    token=$(od -An -N32 -tx1 /dev/urandom | tr -d ' \n')
    role=
    [ "$name" != operator ] || role=', operator: true'     # may reload the datasets
    printf '%s: {token: "%s"%s}\n' "$name" "$token" "$role" >> secrets/tokens.yaml
    printf '%s\n' "$token" > "secrets/$name.token"
    echo "secrets/$name.token"
done
chmod 444 secrets/*.token
chmod 644 secrets/tokens.yaml

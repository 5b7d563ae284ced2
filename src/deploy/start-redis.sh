#!/bin/sh
# Starts Redis with the users of redis-users.acl, each with a password from the environment. A missing password, or one that does not
# fit into a URL as it is, ends the start: Redis would otherwise run with the passwords that are printed in the repository.
#   start-redis.sh TEMPLATE ARGUMENT...      the ACL file of the repository, then arguments of redis-server
set -eu
template=$1
shift
users=$(mktemp)
cp "$template" "$users"
for user in workers relay producer dashboard; do
  name=REDIS_$(echo "$user" | tr '[:lower:]' '[:upper:]')_PASSWORD
  eval "password=\${$name:-}"
  case $password in
    '' | *[!A-Za-z0-9]*)
      echo "$name must be set, to letters and digits only: openssl rand -hex 24" >&2
      exit 1
      ;;
  esac
  sed -i "s/>change-$user />$password /" "$users"
done
exec redis-server --aclfile "$users" "$@"

#!/bin/sh
# Makes the secrets of this overlay, a file for each Secret beside this one. Git ignores them. What is there is kept.
set -eu
umask 077
cd "$(dirname "$0")"
[ ! -e token.env ] || { echo "They are there already: $PWD/*.env" >&2; exit 0; }

new() { od -An -N24 -tx1 /dev/urandom | tr -d ' \n'; }

redis=$(new)
echo "FITQ_REDIS_URL=redis://:$redis@redis:6379/0" > redis.env
printf 'REDIS_PASSWORD=%s\nMINIO_ROOT_USER=fitq\nMINIO_ROOT_PASSWORD=%s\n' "$redis" "$(new)" > stores.env
for user in control worker scoring backup; do
    printf 'FITQ_S3_ACCESS_KEY=fitq-%s\nFITQ_S3_SECRET_KEY=%s\n' "$user" "$(new)" > "objects-$user.env"
done
printf 'FITQ_TOKEN=%s\nFITQ_SCALER_TOKEN=%s\n' "$(new)" "$(new)" > token.env
echo "Next: kubectl apply -k $PWD" >&2

#!/bin/sh
# Makes the bucket, and for each program of the platform a user who may do what that program does and no more.
# May be run again: what is there already is brought up to date.
#
#   sh users.sh                      needs `mc` with an alias `minio` that is the server's root
#                                    (MC_HOST_minio, its address with user and password), and BUCKET, WORKSPACE,
#                                    CONTROL_KEY, WORKER_KEY, SCORING_KEY, BACKUP_KEY
#   sh users.sh policy fitq-worker   prints one policy, for an S3 with users of its own: BUCKET, WORKSPACE
#
# What is below a workspace: src/fitq/store/keys.py.
set -eu
bucket="arn:aws:s3:::$BUCKET"
at="$bucket/$WORKSPACE"

policy() {
    case "$1" in
    # api and scheduler: everything of the workspace; but nobody deletes history, data, environments or versions.
    fitq-control) cat <<POLICY ;;
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["$bucket"],
   "Condition": {"StringLike": {"s3:prefix": ["$WORKSPACE/*"]}}},
  {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
   "Resource": ["$at/*"]},
  {"Effect": "Allow", "Action": ["s3:DeleteObject"],
   "Resource": ["$at/open/*", "$at/runs/*/attempts/*", "$at/changes/*",
                "$at/models/*/about.json", "$at/models/*/files/*", "$at/models/*/golden/*",
                "$at/endpoints/*", "$at/functions/*", "$at/pools/*", "$at/applied/*"]}]}
POLICY

    # worker: runs, and the models that they register. No alias, endpoint, key, pool or function is its to change.
    fitq-worker) cat <<POLICY ;;
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["$bucket"],
   "Condition": {"StringLike": {"s3:prefix": [
     "$WORKSPACE/models/*", "$WORKSPACE/data/*", "$WORKSPACE/changes/*"]}}},
  {"Effect": "Allow", "Action": ["s3:GetObject"],
   "Resource": ["$at/format.json", "$at/runs/*", "$at/snapshots/*", "$at/models/*", "$at/approvals/*",
                "$at/data/*", "$at/data-contents/*", "$at/data-parts/*", "$at/environments/*"]},
  {"Effect": "Allow", "Action": ["s3:PutObject", "s3:AbortMultipartUpload"],
   "Resource": ["$at/format.json", "$at/runs/*", "$at/made/*", "$at/changes/*", "$at/environments/*",
                "$at/models/*/versions/*", "$at/models/*/files/*", "$at/models/*/golden/*"]},
  {"Effect": "Allow", "Action": ["s3:DeleteObject"], "Resource": ["$at/open/*", "$at/changes/*"]}]}
POLICY

    # scoring: reads what it serves, and writes nothing.
    fitq-scoring) cat <<POLICY ;;
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["$bucket"],
   "Condition": {"StringLike": {"s3:prefix": [
     "$WORKSPACE/models/*", "$WORKSPACE/endpoints/*", "$WORKSPACE/changes/*"]}}},
  {"Effect": "Allow", "Action": ["s3:GetObject"],
   "Resource": ["$at/format.json", "$at/models/*", "$at/endpoints/*", "$at/secrets/endpoint-keys",
                "$at/snapshots/*", "$at/environments/*"]}]}
POLICY

    # backup: reads everything of the workspace, and writes nothing. A restore is fitq-control's.
    fitq-backup) cat <<POLICY ;;
{"Version": "2012-10-17", "Statement": [
  {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": ["$bucket"],
   "Condition": {"StringLike": {"s3:prefix": ["$WORKSPACE/*"]}}},
  {"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["$at/*"]}]}
POLICY

    *) echo "No user '$1': fitq-control, fitq-worker, fitq-scoring, fitq-backup." >&2; exit 2 ;;
    esac
}

# A user and the policy of the same name. The key goes to mc by standard input: arguments can be seen.
make_user() {
    policy "$1" > "/tmp/$1.json"
    echo "$2" | mc admin user add minio "$1"
    mc admin policy create minio "$1" "/tmp/$1.json"
    mc admin policy attach minio "$1" --user "$1"
}

if [ "${1:-}" = policy ]; then
    # Amazon's answer for a key that is not there is 403, unless its reader may list the bucket: a GET has no
    # prefix, which `IfExists` lets pass.
    printed=$(policy "${2:-}")
    echo "$printed" | sed 's/"StringLike"/"StringLikeIfExists"/'
    exit
fi
mc mb --ignore-existing "minio/$BUCKET"
make_user fitq-control "$CONTROL_KEY"
make_user fitq-worker "$WORKER_KEY"
make_user fitq-scoring "$SCORING_KEY"
make_user fitq-backup "$BACKUP_KEY"

#!/bin/sh
# kubectl, as far as the commands for secrets need it. Keys of Secrets are files: $CLUSTER/SECRET/KEY. The pod of Redis
# is the server at $SOCKET. $CLUSTER/patches has each new value. $FAILS is a command that fails, or empty.
set -eu
if [ "$1 $2" = "$FAILS" ]; then
  echo "the command fails: $*" >&2
  exit 1
fi
case "$1 $2" in
  'get secret')
    key=${5#*'{{index .data "'}
    base64 "$CLUSTER/$3/${key%'"}}'}"
    ;;
  'patch secret')
    [ "$4" = --patch-file=/dev/stdin ]
    patch=$(cat)
    key=${patch#'{"data": {"'}
    value=${key#*'": "'}
    key=${key%%\"*}
    printf %s "${value%'"}}'}" | base64 -d | sed "s/hubspot-connection-service-redis:6379/$REDIS/" >"$CLUSTER/new"
    printf '%s: %s\n' "$key" "$(cat "$CLUSTER/new")" >>"$CLUSTER/patches"
    mv "$CLUSTER/new" "$CLUSTER/$3/$key"
    ;;
  'exec hubspot-connection-service-redis-0')
    case "$4" in
      cat) cat "$CLUSTER/hubspot-connection-service-redis/${5##*/}" ;;
      redis-cli) shift 4 && exec redis-cli -s "$SOCKET" "$@" ;;
    esac
    ;;
  'rollout restart') echo restart >>"$CLUSTER/patches" ;;
  'rollout status') ;;
  'get pods') printf 'pod/%s\n' a b ;;
  'wait --for=delete') echo "end of $3" >>"$CLUSTER/patches" ;;
  'logs -l') printf '[pod/%s/hubspot-connection-service] {"message":"a new Adobe access token is in use"}\n' a b a ;;
  *)
    echo "unexpected: $*" >&2
    exit 1
    ;;
esac

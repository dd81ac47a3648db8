#!/usr/bin/env bash
# Read one document, then follow all changes: `./reader.sh redis://127.0.0.1:6379/0 [REFERENCE, percent-encoded]`.
# Needs redis-cli or valkey-cli. Each change is one line of CSV: stream, id, then names and values in turn.
set -euo pipefail
cli=$(command -v "${CLI:-redis-cli}" || command -v valkey-cli)
url=$1 stream=gelato:changes group=shipping consumer=shipping-1

where=(-u "$url")
if [[ $url == unix://* ]]; then # what `make run` writes into var/redis-url
  path=${url#unix://}
  where=(-s "${path%%\?*}")
fi

ask() { "$cli" "${where[@]}" -e --no-auth-warning --csv "$@"; }

for reference in "${@:2}"; do
  "$cli" "${where[@]}" --no-auth-warning --raw GET "gelato:order:{default/$reference}" # empty for an order that is not known
done

# A new group begins now; one that is there goes on where it was.
ask XGROUP CREATE $stream $group '$' MKSTREAM >/dev/null 2>&1 || true

# Handle the one entry of a line, if there is one; acknowledge it only then: whoever dies before is given it again.
handle() {
  local id
  id=$(grep -oE '"[0-9]+-[0-9]+"' <<<"$1" | head -1 | tr -d '"') || return 1
  echo "$1" # do your work here
  ask XACK $stream $group "$id" >/dev/null
}

# First what this consumer was given before it died.
while handle "$(ask XREADGROUP GROUP $group $consumer COUNT 1 STREAMS $stream 0)"; do :; done
while true; do
  # What another consumer has left lying for a minute, then what is new.
  lying=$(ask XPENDING $stream $group IDLE 60000 - + 1 | grep -oE '"[0-9]+-[0-9]+"' | head -1 | tr -d '"' || true)
  if [ -n "$lying" ]; then handle "$(ask XCLAIM $stream $group $consumer 60000 "$lying")" || true; fi
  fresh=$(ask XREADGROUP GROUP $group $consumer COUNT 1 BLOCK 1000 STREAMS $stream '>') || sleep 1
  handle "$fresh" || true
done

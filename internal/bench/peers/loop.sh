#!/bin/bash
# The collector that people write first, written with care: curl, jq and kcat, and
# its state in a file. The state is the newest second that was read, and the ids
# of that second, so that no second is cut and none is sent twice. It is replaced
# by a rename, and only when Kafka has all of a pass.
#
#	loop.sh once|poll URL KEY BROKERS TOPIC DIR SINCE
set -euo pipefail
mode=$1 url=$2 key=$3 brokers=$4 topic=$5 dir=$6 since=$7
state=$dir/state
[[ -f $state ]] || printf '%s\n[]\n' "$since" > "$state"

# One line for the loop, then one for each event: its id, a tab, and the event.
# top is the newest second of the pass; the list is newest first.
# shellcheck disable=SC2016
program='
	(if $top == 0 then [.data[].effective_at] | max // $from else $top end) as $top
	| ([.data[] | select(.effective_at == $top) | .id]) as $ids
	| "\($top)\t\(.has_more)\t\(.last_id)\t\($ids)",
	  (.data[] | select(.id | IN($known[]) | not) | "\(.id)\t\(tojson)")'

# pages prints the events of a pass and leaves the new state.
pages() {
	local from known top=0 after='' more=true ids page_ids
	{ read -r from; read -r known; } < "$state"
	: > "$dir/ids"
	while [[ $more == true ]]; do
		curl -fsS --retry 5 --compressed -G "$url/organization/audit_logs" -H "Authorization: Bearer $key" \
			-d limit=100 -d "effective_at[gte]=$from" ${after:+-d "after=$after"} |
			jq -r --argjson top "$top" --argjson from "$from" --argjson known "$known" "$program" > "$dir/page"
		IFS=$'\t' read -r top more after page_ids < "$dir/page"
		echo "$page_ids" >> "$dir/ids"
		tail -n +2 "$dir/page"
	done
	[[ $top != "$from" ]] || echo "$known" >> "$dir/ids"
	ids=$(jq -cs 'add | unique' "$dir/ids")
	printf '%s\n%s\n' "$top" "$ids" > "$dir/state.new"
}

pass() {
	pages | kcat -P -b "$brokers" -t "$topic" -K $'\t' -z zstd -X acks=all
	mv "$dir/state.new" "$state"
}

pass
while [[ $mode == poll ]]; do
	sleep 1
	pass
done

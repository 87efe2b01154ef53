#!/bin/bash
# faucet-stream, once or every second.
#
#	faucet.sh FAUCET CONFIG once|poll URL KEY BROKERS TOPIC DIR SINCE
set -euo pipefail
faucet=$1 config=$2 mode=$3
export FAUCET_URL=$4 FAUCET_KEY=$5 FAUCET_BROKERS=$6 FAUCET_TOPIC=$7 FAUCET_STATE=$8/state FAUCET_SINCE=$9 FAUCET_LOG=error
mkdir -p "$FAUCET_STATE"

"$faucet" run "$config"
while [[ $mode == poll ]]; do
	sleep 1
	"$faucet" run "$config"
done

package txlog

import "time"

// Hasty returns cfg with waits that a test can sit out; zero leaves one as it is.
func Hasty(cfg Config, transactionTimeout, produceWait time.Duration) Config {
	cfg.transactionTimeout, cfg.produceWait = transactionTimeout, produceWait
	return cfg
}

// Impatient returns cfg with a wait for markers that a test can sit out.
func Impatient(cfg Config, markersWait time.Duration) Config {
	cfg.markersWait = markersWait
	return cfg
}

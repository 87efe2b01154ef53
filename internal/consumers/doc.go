// Package consumers holds nothing but tests: that programs of other projects
// read the topic to the values that the events had, each event once, and nothing of
// aborted transactions. They read it by the recipes in docs/recipes.
package consumers

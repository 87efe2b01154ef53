// Package rooms holds nothing but a test: that every package of the project
// imports only what it may. docs/design.md says why the rooms are as they are.
package rooms

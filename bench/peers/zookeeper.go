// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"log"
	"time"

	"github.com/go-zookeeper/zk"
)

// Its reads are of the node's own copy, always.
type zookeeper struct{ *zk.Conn }

func openZookeeper(endpoint string) store {
	c, events, err := zk.Connect([]string{endpoint}, 10*time.Second,
		zk.WithLogger(log.New(io.Discard, "", 0)))
	must(err)
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	return zookeeper{c}
}

func (z zookeeper) prepare(prefix string) {
	_, err := z.Create(prefix, nil, 0, zk.WorldACL(zk.PermAll))
	must(err)
}

func (z zookeeper) fill(names []string) {
	var creates []interface{}
	for _, name := range names {
		creates = append(creates, &zk.CreateRequest{
			Path: name, Data: []byte(value(1)), Acl: zk.WorldACL(zk.PermAll)})
	}
	_, err := z.Multi(creates...)
	must(err)
}

// A node's version, which begins at 0 and counts its changes, is what it compares.
func (z zookeeper) update(name string, version int) {
	_, err := z.Set(name, []byte(value(version+1)), int32(version-1))
	must(err)
}

func (z zookeeper) read(name string) {
	_, _, err := z.Get(name)
	must(err)
}

func (z zookeeper) remove(prefix string) {}

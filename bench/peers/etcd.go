// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"log"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type etcd struct{ *clientv3.Client }

func openEtcd(endpoint string) store {
	c, err := clientv3.New(clientv3.Config{
		Endpoints: []string{endpoint}, DialTimeout: 10 * time.Second})
	must(err)
	return etcd{c}
}

func (e etcd) prepare(prefix string) {}

func (e etcd) fill(names []string) {
	var puts []clientv3.Op
	for _, name := range names {
		puts = append(puts, clientv3.OpPut(name, value(1)))
	}
	_, err := e.Txn(context.Background()).Then(puts...).Commit()
	must(err)
}

func (e etcd) update(name string, version int) {
	answer, err := e.Txn(context.Background()).
		If(clientv3.Compare(clientv3.Value(name), "=", value(version))).
		Then(clientv3.OpPut(name, value(version+1))).Commit()
	must(err)
	if !answer.Succeeded {
		log.Fatal("refused: ", name)
	}
}

func (e etcd) read(name string) {
	var options []clientv3.OpOption
	if *stale {
		options = append(options, clientv3.WithSerializable())
	}
	answer, err := e.Get(context.Background(), name, options...)
	must(err)
	if len(answer.Kvs) != 1 {
		log.Fatal("not there: ", name)
	}
}

func (e etcd) remove(prefix string) {
	_, err := e.Delete(context.Background(), prefix, clientv3.WithPrefix())
	must(err)
}

// SPDX-License-Identifier: Apache-2.0

// peer_load does to another store what `refkeeper bench` does to refkeeperd: compare-and-swap of
// 100,000 keys by many clients that have one request in flight each, over so many connections; or
// reads of them. One line of JSON says what came of it.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"sort"
	"sync"
	"time"
)

const (
	perFill = 128 // keys of one transaction: etcd's own limit
	filling = 32  // transactions at a time
)

var (
	kind        = flag.String("store", "etcd", "etcd or zookeeper")
	endpoint    = flag.String("endpoint", "127.0.0.1:2379", "address of the node that is asked")
	clients     = flag.Int("clients", 64, "each has one request in flight")
	connections = flag.Int("connections", 0, "the clients share so many; 0 = one each")
	keys        = flag.Int("keys", 100000, "keys")
	reads       = flag.Bool("reads", false, "read instead of update")
	stale       = flag.Bool("stale", false, "reads of the node's own copy")
	duration    = flag.Duration("duration", 5*time.Second, "measured time")
	warmup      = flag.Duration("warmup", time.Second, "before it")
	keep        = flag.Bool("keep", false, "leave the keys there")
)

// One connection. Every key has version 1 after fill; update makes version+1 of version.
type store interface {
	prepare(prefix string)
	fill(names []string)
	update(name string, version int)
	read(name string)
	remove(prefix string)
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// As long as an object id in hexadecimal digits.
func value(version int) string { return fmt.Sprintf("%040x", version) }

func key(prefix string, k int) string { return fmt.Sprintf("%s/bench-%012d", prefix, k) }

func open(count int) []store {
	all := make([]store, count)
	for i := range all {
		switch *kind {
		case "etcd":
			all[i] = openEtcd(*endpoint)
		case "zookeeper":
			all[i] = openZookeeper(*endpoint)
		default:
			log.Fatal("no such store: ", *kind)
		}
	}
	return all
}

func fill(conns []store, prefix string) {
	var wait sync.WaitGroup
	next := make(chan int)
	for i := 0; i < filling; i++ {
		wait.Add(1)
		go func(c store) {
			defer wait.Done()
			for first := range next {
				var names []string
				for k := first; k < first+perFill && k < *keys; k++ {
					names = append(names, key(prefix, k))
				}
				c.fill(names)
			}
		}(conns[i%len(conns)])
	}
	for first := 0; first < *keys; first += perFill {
		next <- first
	}
	close(next)
	wait.Wait()
}

// Each client has keys of its own and goes round them.
func client(c store, prefix string, number int, begin, end time.Time) []time.Duration {
	var took []time.Duration
	versions := make(map[int]int)
	for k := number; ; k += *clients {
		if k >= *keys {
			k = number
		}
		started := time.Now()
		if started.After(end) {
			return took
		}
		if *reads {
			c.read(key(prefix, k))
		} else {
			c.update(key(prefix, k), versions[k]+1)
			versions[k]++
		}
		if done := time.Now(); started.After(begin) && done.Before(end) {
			took = append(took, done.Sub(started))
		}
	}
}

func report(all []time.Duration) {
	if len(all) == 0 {
		log.Fatal("nothing was answered in time")
	}
	sort.Slice(all, func(i, k int) bool { return all[i] < all[k] })
	at := func(share float64) int64 { return all[int(share*float64(len(all)-1))].Microseconds() }
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"count": len(all), "per_second": float64(len(all)) / duration.Seconds(),
		"p50_us": at(.5), "p99_us": at(.99), "p999_us": at(.999), "max_us": at(1)}))
}

func main() {
	flag.Parse()
	if *connections == 0 {
		*connections = *clients
	}
	prefix := fmt.Sprintf("/bench-%d", time.Now().UnixNano())
	conns := open(*connections)
	conns[0].prepare(prefix)
	fill(conns, prefix)
	begin := time.Now().Add(*warmup)
	end := begin.Add(*duration)
	results := make([][]time.Duration, *clients)
	var wait sync.WaitGroup
	for i := range results {
		wait.Add(1)
		go func(i int) {
			defer wait.Done()
			results[i] = client(conns[i%len(conns)], prefix, i, begin, end)
		}(i)
	}
	wait.Wait()
	var all []time.Duration
	for _, r := range results {
		all = append(all, r...)
	}
	report(all)
	if !*keep {
		conns[0].remove(prefix)
	}
}

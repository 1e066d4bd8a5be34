/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every key of the configuration: flag --key, environment REFKEEPERD_KEY, "key = value" in the
 * file.  --help, --print-config and conf/refkeeperd.conf.example follow this list.
 *
 *   X(NAME, "key", TYPE, default or NULL, least, most, "VALUE", "help")
 *
 * Least and most bound DURATION (milliseconds), SIZE (bytes) and COUNT; they are 0 elsewhere.
 * A default of NULL means: not set.
 */
#ifndef DAEMON_CONFIG_KEYS_H
#define DAEMON_CONFIG_KEYS_H

#include "base/limits.h"

#define HOUR_MS 3600000LL
#define TIB (1024LL * 1024 * MIB)

/* clang-format off */
#define CONFIG_KEY_LIST(X)                                                                         \
    X(CONFIG, "config", PATH, NULL, 0, 0, "FILE",                                                  \
      "read further keys from this INI file (not a key of the file)")                              \
    X(NAME, "name", NAME, NULL, 0, 0, "NAME",                                                      \
      "name of this node, one of initial-members; letters, digits, . _ -")                         \
    X(DATA_DIR, "data-dir", PATH, NULL, 0, 0, "DIR",                                               \
      "absolute path of the directory for log, state and snapshots; created with mode 0700")       \
    X(LISTEN_PEER, "listen-peer", ADDRESS, "127.0.0.1:7480", 0, 0, "HOST:PORT",                    \
      "where other nodes connect")                                                                 \
    X(LISTEN_CLIENT, "listen-client", ADDRESS, "127.0.0.1:7481", 0, 0, "HOST:PORT",                \
      "where clients connect (RESP)")                                                              \
    X(LISTEN_HTTP, "listen-http", ADDRESS, "127.0.0.1:7482", 0, 0, "HOST:PORT",                    \
      "where routers, probes, browsers and Prometheus connect (HTTP)")                             \
    X(ADVERTISE_PEER, "advertise-peer", ADVERTISED, NULL, 0, 0, "HOST:PORT",                       \
      "how other nodes reach listen-peer (default: as in initial-members)")                        \
    X(ADVERTISE_CLIENT, "advertise-client", ADVERTISED, NULL, 0, 0, "HOST:PORT",                   \
      "how clients reach listen-client (default: listen-client)")                                  \
    X(ADVERTISE_HTTP, "advertise-http", ADVERTISED, NULL, 0, 0, "HOST:PORT",                       \
      "how clients reach listen-http (default: listen-http)")                                      \
    X(INITIAL_MEMBERS, "initial-members", MEMBERS, NULL, 0, 0, "NAME=HOST:PORT,...",               \
      "the nodes a new cluster starts with, this one among them; the same on each of them")        \
    X(JOIN, "join", BOOL, "false", 0, 0, NULL,                                                     \
      "with an empty data-dir: found no cluster, wait for `refkeeper member add` or replace; "     \
      "initial-members is not needed")                                                             \
    X(PEER_CA, "peer-ca", PATH, NULL, 0, 0, "FILE",                                                \
      "PEM: who may sign the certificates of nodes")                                               \
    X(PEER_CERT, "peer-cert", PATH, NULL, 0, 0, "FILE",                                            \
      "PEM chain of this node; names it as DNS name or URI refkeeper://node/NAME")                 \
    X(PEER_KEY, "peer-key", PATH, NULL, 0, 0, "FILE",                                              \
      "PEM key of peer-cert; must not be readable by group or others")                             \
    X(INSECURE_PEER, "insecure-peer", BOOL, "false", 0, 0, NULL,                                   \
      "talk to other nodes without TLS: whoever reaches listen-peer can take over the cluster")    \
    X(CLIENT_CA, "client-ca", PATH, NULL, 0, 0, "FILE",                                            \
      "PEM: who may sign the certificates of clients")                                             \
    X(CLIENT_CERT, "client-cert", PATH, NULL, 0, 0, "FILE",                                        \
      "PEM chain shown to clients; with it both client ports speak TLS only")                      \
    X(CLIENT_KEY, "client-key", PATH, NULL, 0, 0, "FILE",                                          \
      "PEM key of client-cert; must not be readable by group or others")                           \
    X(CLIENT_REQUIRE_CERT, "client-require-cert", BOOL, "false", 0, 0, NULL,                       \
      "refuse clients without a certificate signed by client-ca")                                  \
    X(CLIENT_PASSWORDS, "client-passwords", PATH, NULL, 0, 0, "FILE",                              \
      "who may do what: lines \"user read|write|admin sha256-of-password-in-hex\"")                \
    X(INSECURE_CLIENT_LISTEN, "insecure-client-listen", BOOL, "false", 0, 0, NULL,                 \
      "serve clients beyond this machine without asking who they are")                             \
    X(ELECTION_TIMEOUT, "election-timeout", DURATION, "1s", ELECTION_TIMEOUT_MS_MIN,               \
      ELECTION_TIMEOUT_MS_MAX, "TIME",                                                             \
      "silence of the leader after which a node stands for election, up to twice this")            \
    X(HEARTBEAT_INTERVAL, "heartbeat-interval", DURATION, "100ms", 2, 10000, "TIME",               \
      "how often the leader says that it is there; at most a fifth of election-timeout")           \
    X(LEASE_READS, "lease-reads", BOOL, "false", 0, 0, NULL,                                       \
      "the leader answers reads without asking the others while a majority of them has promised "  \
      "to elect nobody else; a restarted node does not vote for twice election-timeout")           \
    X(MAX_CLOCK_DRIFT, "max-clock-drift", COUNT, "5", 1, CLOCK_DRIFT_PERCENT_MAX, "PERCENT",       \
      "with lease-reads: by how much one node's clock may run faster than another's")              \
    X(PROPOSAL_TIMEOUT, "proposal-timeout", DURATION, "10s", 100, HOUR_MS, "TIME",                 \
      "a write without outcome after this long is answered UNKNOWN")                               \
    X(READ_TIMEOUT, "read-timeout", DURATION, "5s", 100, HOUR_MS, "TIME",                          \
      "a linearizable read without answer after this long is answered NOLEADER")                   \
    X(LOG_COMPACT_BYTES, "log-compact-bytes", SIZE, "100MiB", 1 * MIB, TIB, "SIZE",                \
      "size of the log that triggers a snapshot and compaction")                                   \
    X(SNAPSHOT_INTERVAL, "snapshot-interval", DURATION, "10m", 1000, 24 * 7 * HOUR_MS, "TIME",     \
      "also take a snapshot this often when anything has changed")                                 \
    X(TRAILING_ENTRIES, "trailing-entries", COUNT, "10000", 0, 100000000, "N",                     \
      "log entries kept behind a snapshot for followers that are a little late")                   \
    X(EVENTS_BYTES, "events-bytes", SIZE, "64MiB", 1 * MIB, TIB, "SIZE",                           \
      "memory for events of applied changes: for watch, history, undo; the oldest go first")       \
    X(SNAPSHOT_RATE, "snapshot-rate", SIZE, "100MiB", 0, TIB, "SIZE",                              \
      "bytes per second that snapshots sent to other nodes may take together; 0 = no limit")       \
    X(FEATURE_LEVEL_MAX, "feature-level-max", COUNT, "1000", 0, 1000, "N",                         \
      "hold the cluster's feature level at N, so that an older version can still be put back")     \
    X(MAX_CLIENTS, "max-clients", COUNT, "4096", 1, 1000000, "N",                                  \
      "RESP connections at a time; one more is told OVERLOADED")                                   \
    X(MAX_HTTP, "max-http", COUNT, "1024", 1, 1000000, "N",                                        \
      "HTTP connections at a time; one more waits")                                                \
    X(LOG_LEVEL, "log-level", LEVEL, "info", 0, 0, "LEVEL",                                        \
      "debug, info, warn or error; SIGHUP takes up a change")                                      \
    X(LOG_FORMAT, "log-format", FORMAT, "logfmt", 0, 0, "FORMAT",                                  \
      "logfmt or json, on standard error")
/* clang-format on */

#endif

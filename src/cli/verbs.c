/* SPDX-License-Identifier: Apache-2.0 */
/* Every verb: name, usage, help, function. */
#include "cli/verbs.h"

#include <stddef.h>

#include "cli/cli.h"
#include "cli/write.h"

#define READ_HELP                                                                                  \
    "  --stale               this node's own copy, without asking the others\n"                    \
    "  --min-index N         a copy that includes log index N\n"

const struct verb cli_verbs[] = {
    { "status", "[--cluster]",
      "Shows the node that answers.\n"
      "  --cluster             one row per member, each asked itself\n",
      cmd_status },
    { "repo create", "PATH PRIMARY [--replicas S,...] [--format sha1|sha256] [--head REF]",
      "Creates a repository.  PRIMARY and replicas are names of storages.\n" WRITE_HELP,
      cmd_repo_create },
    { "repo register", "PATH STORAGE",
      "Creates the repository with STORAGE as primary, or adds STORAGE as a replica.\n" WRITE_HELP,
      cmd_repo_register },
    { "repo remove", "PATH", "Removes a repository and its refs.\n" WRITE_HELP, cmd_repo_remove },
    { "repo remove-replica", "PATH STORAGE",
      "Forgets that STORAGE holds the repository.\n"
      "Refused for its primary: move that first.\n" WRITE_HELP,
      cmd_repo_remove_replica },
    { "repo rename", "PATH NEW | --prefix OLD/ NEW/",
      "Renames a repository, or with --prefix all below OLD/, or none.\n" WRITE_HELP,
      cmd_repo_rename },
    { "repo show", "PATH", "Shows everything about a repository.\n", cmd_repo_show },
    { "repo list", "[--prefix P] [--storage S]", "Lists repositories in order of path.\n",
      cmd_repo_list },
    { "repo set-head", "PATH REF", "Sets what HEAD points at.\n" WRITE_HELP, cmd_repo_set_head },
    { "repo freeze", "PATH REASON", "Refuses every change of its refs, saying REASON.\n" WRITE_HELP,
      cmd_repo_freeze },
    { "repo thaw", "PATH", "Ends freezing.\n" WRITE_HELP, cmd_repo_thaw },
    { "ref get", "PATH REF [--stale]", "Prints what a ref is at.\n" READ_HELP, cmd_ref_get },
    { "ref list", "PATH [--prefix P] [--after REF] [--page N]",
      "Lists refs in git's order.\n" READ_HELP, cmd_ref_list },
    { "ref update", "PATH REF NEW (--old OID|--create|--force) | PATH --stdin [-z]",
      "Sets a ref, if it is at --old, or with --create does not exist, or with --force always.\n"
      "  --stdin [-z]          reads the input of `git update-ref --stdin`; each transaction is\n"
      "                        all or nothing.  prepare compares, it locks nothing\n" WRITE_HELP,
      cmd_ref_update },
    { "ref delete", "PATH REF (--old OID|--force)", "Deletes a ref.\n" WRITE_HELP, cmd_ref_delete },
    { "storage set", "NAME [--http ADDR] [--ssh ADDR] [--zone Z] [--state active|draining|down]",
      "Adds a storage or changes fields of it.\n", cmd_storage_set },
    { "storage list", "", "Lists storages.\n", cmd_storage_list },
    { "storage remove", "NAME", "Removes a storage no repository uses.\n", cmd_storage_remove },
    { "limits show", "",
      "Shows what the cluster holds beside what it may hold.  A limit of 0 is none.\n",
      cmd_limits_show },
    { "limits set", "[--repositories N] [--refs N] [--bytes N] [--repository-refs N]",
      "Limits what the cluster may hold.  0 = no limit; limits not named stay as they are.\n"
      "  --repositories N      repositories\n"
      "  --refs N              refs of all repositories\n"
      "  --bytes N             of names, object ids, actors, paths, as `limits show` counts them\n"
      "  --repository-refs N   refs of any one repository\n"
      "Over a limit new repositories and new refs are refused; changing and deleting is not.\n",
      cmd_limits_set },
    { "filter show", "", "Shows which refs the cluster decides about.\n", cmd_filter_show },
    { "filter set", "RULE... | --clear",
      "Says which refs the cluster decides about: track:PATTERN or ignore:PATTERN each, of which\n"
      "the first that fits decides; a ref that none fits is tracked.  PATTERN starts with refs/,\n"
      "has at most one * between slashes, and with a slash at its end means all below.\n"
      "  --clear               all refs are tracked\n",
      cmd_filter_set },
    { "primary set", "STORAGE PATH... [--force REASON]",
      "Makes STORAGE the primary of each repository.\n"
      "  --force REASON        also where it was not seen complete: updates may be lost\n",
      cmd_primary_set },
    { "route", "PATH [--write] [--stale] | --ssh COMMAND [--local STORAGE --root DIR] [--print]",
      "Says where to send a fetch, or with --write a push.\n"
      "  --ssh COMMAND         what a git client asked for over ssh: runs it at the primary\n"
      "  --local STORAGE --root DIR\n"
      "                        this machine is that storage: there, git runs here, below DIR\n"
      "  --print               only says what it would run\n",
      cmd_route },
    { "endpoint hash", "",
      "Asks every member for the digest of its state at an index all of them know.  Exit code 4\n"
      "when they differ, 5 when one does not answer or there is no such index.\n",
      cmd_endpoint_hash },
    { "capacity", "[--refs N] [--repositories N]",
      "Projects memory, size of a snapshot and time to load it, from what is there now.\n"
      "  --refs N              for so many refs of the kind there are\n"
      "  --repositories N      in so many repositories (as many refs in each as now)\n",
      cmd_capacity },
    { "member list", "", "Lists the nodes of the cluster.\n", cmd_member_list },
    { "member add", "NAME PEER_ADDR [--learner] [--wait D]",
      "Admits a node, started there with an empty data directory and --join.  It is a learner,\n"
      "and votes once it has caught up.\n"
      "  --learner             it does not vote before it is promoted\n"
      "  --wait D              until it votes, but no longer than this\n",
      cmd_member_add },
    { "member promote", "NAME", "Lets a learner vote that has caught up.\n", cmd_member_promote },
    { "member remove", "NAME",
      "Removes a node, unless the cluster would lose its quorum.  The leader may be removed, too:\n"
      "it hands its office over.\n",
      cmd_member_remove },
    { "member replace", "NAME [PEER_ADDR] [--wait D]",
      "Admits a node with an empty data directory in the place of a dead or wiped one of that\n"
      "name, which goes when the new one has caught up.\n"
      "  --wait D              until it votes, but no longer than this\n",
      cmd_member_replace },
    { "member update", "NAME PEER_ADDR", "Changes where a node is reached by the others.\n",
      cmd_member_update },
    { "move-leader", "[NAME]",
      "Hands the leader's office to a voter; without NAME to the one that is furthest.\n",
      cmd_move_leader },
    { "hook proc-receive", "",
      "Decides a push: git receive-pack calls it as hooks/proc-receive.  [githooks(5)]\n"
      "Repository: REFKEEPER_REPO, else git config refkeeper.path and refkeeper.id; storage:\n"
      "REFKEEPER_STORAGE, else refkeeper.storage; cluster: REFKEEPER_ENDPOINTS, else\n"
      "refkeeper.endpoints; epoch: REFKEEPER_EPOCH, HTTP_X_GIT_EPOCH, else the cluster's route.\n",
      cmd_hook_proc_receive },
    { "hook reference-transaction", "STATE",
      "Guards a storage: git calls it as hooks/reference-transaction.  [githooks(5)]\n"
      "A ref may change only to what the cluster has; git's own maintenance passes.\n",
      cmd_hook_reference_transaction },
    { "hook post-receive", "",
      "Looks whether a finished push is on disk: hooks/post-receive.  [githooks(5)]\n",
      cmd_hook_post_receive },
    { "hook daemon-access", "SERVICE DIR ...",
      "Says whether git daemon may serve a repository: its --access-hook.  Fetches where the copy\n"
      "is in sync, pushes at the primary.\n",
      cmd_hook_daemon_access },
    { "hook install",
      "GIT_DIR --repo PATH --storage S --endpoints H:P,... [--no-id] [--keep-hooks]",
      "Puts a repository on this machine under the cluster's decision: writes the hooks\n"
      "proc-receive, reference-transaction and post-receive, sets receive.procReceiveRefs and\n"
      "the refkeeper.* keys, turns automatic maintenance off.\n"
      "  --no-id               do not ask the cluster for the repository's id\n"
      "  --keep-hooks          leave hooks of other origin as they are, instead of refusing\n",
      cmd_hook_install },
    { "agent",
      "--storage S --root DIR [--init] [--fetch-url URL] [--workers N] [--rescan D]"
      " [--listen H:P --token-file F [--listen-cert F --listen-key F]]",
      "Runs beside git on a storage: brings its copies below DIR to what the cluster decided, and\n"
      "tells every node of --endpoints what it holds.\n"
      "  --init                marks DIR as the root of a new storage\n"
      "  --fetch-url URL       where a primary's copy is fetched from; {storage}, {http}, {ssh}\n"
      "                        and {path} stand for what they say (its http address, else ssh)\n"
      "  --workers N           copies worked on at a time (4)\n"
      "  --rescan D            all copies are looked at that often (60m)\n"
      "  --patience D          a primary's copy that lacks a decision for so long gets it (25s)\n"
      "  --listen H:P          takes packs of pushes that are to be on replicas before they are\n"
      "                        decided (refkeeper.syncReplicas), from who has the --token-file\n"
      "  --listen-cert F --listen-key F\n"
      "                        takes them through TLS only (refkeeper.agentCacert)\n"
      "  --lift-quarantine     goes on after a person looked why copies were lost\n",
      cmd_agent },
    { "drain", "STORAGE [--dry-run] [--wait D] | --watch [--after D]",
      "Sets a storage draining and moves its primaries to replicas that hold everything, spread\n"
      "over those.  What has no such replica stays and is named: exit code 4.\n"
      "  --dry-run             only says what it would do\n"
      "  --wait D              replicas that are behind may catch up for so long (10s)\n"
      "  --watch               for ever: sets a storage down and drains it when a majority of the\n"
      "                        nodes of --endpoints say it was silent for --after, none heard it\n"
      "  --after D             of silence (30s)\n",
      cmd_drain },
    { "rebalance", "[--dry-run]",
      "Spreads primaries evenly over the storages that are active and alive, as far as replicas\n"
      "hold everything.  Exit code 4 when a move was refused.\n"
      "  --dry-run             only says what it would do\n",
      cmd_rebalance },
    { "report", "[--prefix P] | --from-storage S --root DIR",
      "Names what is unavailable, at risk or behind, by how much.  Exit code 4 if there is any.\n"
      "  --prefix P            only paths that begin so\n"
      "  --from-storage S --root DIR\n"
      "                        tells all --endpoints what the copies below DIR hold, once:\n"
      "                        for a storage without agent\n",
      cmd_report },
    { "force-authoritative", "PATH STORAGE --reason R [--url URL] [--dry-run] [--yes-lose-data]",
      "Makes STORAGE the primary and what it has the truth, for a repository whose complete\n"
      "copies are lost; names every ref that changes.  R stays in the log.\n"
      "  --url URL             where its refs are read from (its http address and PATH)\n"
      "  --dry-run             only says what would change\n"
      "  --yes-lose-data       even though a storage that lives holds everything\n",
      cmd_force_authoritative },
    { "haproxy-sync", "--maps DIR [--socket PATH] [--refresh D] [--once]",
      "Keeps the maps of conf/haproxy/ current: their files, and over its runtime socket a\n"
      "haproxy that runs.\n"
      "  --maps DIR            where the two files are\n"
      "  --socket PATH         haproxy's runtime socket\n"
      "  --refresh D           how old a map may be of who is alive and in sync (2s)\n"
      "  --once                writes the files and ends\n",
      cmd_haproxy_sync },
    { "import", "PATH STORAGE GIT_DIR [--force] | --tree ROOT STORAGE | --list FILE [--format F]",
      "Teaches the cluster the refs of a repository on this machine, or of every bare one below\n"
      "ROOT; creates PATH, or adds STORAGE to it.  May be started again at any time.  Exit code 4\n"
      "when refs have other values there.\n"
      "  --force               the disk's values win over the cluster's\n"
      "  --tree ROOT           every repository below ROOT, its path there being its name\n"
      "  --prefix P            of the tree, only paths that begin so\n"
      "  --list FILE           repositories that another system lists, - = standard input\n"
      "  --format F            praefect (CSV or JSON, see the manual), or gerrit (ls-projects)\n"
      "  --storage S           of the list: the primary where none is said\n"
      "  --root ROOT           of the list: also the refs, from below ROOT, which is on --storage\n"
      "  --jobs N              repositories at a time (4)\n"
      "  --dry-run             of a tree or list: only says what it would import\n",
      cmd_import },
    { "scan", "STORAGE ROOT [--refs] [--adopt|--dry-run]",
      "Compares the bare repositories below ROOT with what the cluster says is on STORAGE: names\n"
      "those untracked, stray (tracked, but not here), and missing.  Deletes nothing.  Exit code\n"
      "4 when there are any.\n"
      "  --refs                also compares the refs of all others\n"
      "  --adopt               imports the untracked ones; without it nothing is changed\n"
      "  --dry-run             changes nothing, as without --adopt\n",
      cmd_scan },
    { "rebuild", "STORAGE=ROOT... [--prefer STORAGE] [--resume] [--dry-run]",
      "Fills an empty cluster from the storages' disks, each mounted at ROOT.  A ref is taken\n"
      "when all copies of its repository agree; every other is named and left out, and its\n"
      "repository frozen.  Exit code 4 when there are any.\n"
      "  --prefer STORAGE      where copies differ, the value of this one\n"
      "  --resume              goes on with one that was cut short: the cluster is not empty\n"
      "  --dry-run             only names what differs\n",
      cmd_rebuild },
    { "resolve", "PATH GIT_DIR [--dry-run] [--delete] [--revert]",
      "Brings the refs on this disk to what the cluster decided.  Exit code 4 when differences\n"
      "stay.\n"
      "  --dry-run             only says what it would do\n"
      "  --delete              also deletes refs that only the disk has\n"
      "  --revert              where objects are missing here: takes the cluster back to the\n"
      "                        disk's value\n",
      cmd_resolve },
    { "verify", "PATH GIT_DIR [--stale]",
      "Names every ref whose value on disk is not the cluster's.  Exit code 4 if there are any.\n"
      "  --stale               compares with the copy of the node that answers\n",
      cmd_verify },
    { "watch", "[--from INDEX] [--prefix P] [--count N] [--once]",
      "Prints every change as it is applied, without gaps, through whichever node answers.\n"
      "  --from INDEX          begins there, 0 = the oldest kept (from now on)\n"
      "  --prefix P            only paths that begin so\n"
      "  --count N             ends after N changes, with the whole of the last index\n"
      "  --once                ends when all there is was printed\n",
      cmd_watch },
    { "history", "PATH [REF]",
      "Lists the changes of a repository, or of one ref, as far as they are kept, and says on\n"
      "stderr where that begins.  Exit code 3 when there are none and no such repository.\n",
      cmd_history },
    { "undo", "INDEX",
      "Takes the ref changes of a log index back, all or none: refused when one of the refs has\n"
      "moved since.  While the events of that index are kept.\n" WRITE_HELP,
      cmd_undo },
    { "bench", "[--clients N] [--connections N] [--pipeline N] [--reads PERCENT] [--duration D]",
      "Measures compare-and-swap updates, and reads, in a repository made for it.\n"
      "  --clients N           each has one request in flight, or --pipeline many (64)\n"
      "  --connections N       the clients share so many, spread over the endpoints (one each)\n"
      "  --pipeline N          requests in flight per client (1)\n"
      "  --keys N              refs (100000)\n"
      "  --reads PERCENT       share of reads (0); --stale: of the node's own copy\n"
      "  --duration D          measured time (10s), after --warmup (1s)\n"
      "  --keep                leaves the repository there\n",
      cmd_bench },
    { "snapshot take", "[--all]",
      "Makes the node reached write a snapshot now and cut its log; STARTED, or ALREADY when one\n"
      "is under way or nothing is new.\n"
      "  --all                 every member, also behind one that does not answer: that one is\n"
      "                        named, exit code 5\n",
      cmd_snapshot_take },
    { "snapshot save", "DATA_DIR TO_DIR",
      "Copies the newest snapshot of a data directory, verified, under its own name.  The node\n"
      "may run.\n",
      cmd_snapshot_save },
    { "snapshot status", "FILE", "Verifies a snapshot and says what it holds.\n",
      cmd_snapshot_status },
    { "snapshot restore", "FILE --to DATA_DIR --name NAME --peer PEER_ADDR",
      "Founds another cluster of one node from a snapshot, in a new data directory.\n",
      cmd_snapshot_restore },
    { "recover", "DATA_DIR... --to DATA_DIR [--name NAME] [--peer PEER_ADDR] [--accept-loss]",
      "Offline, when a majority is lost for good: founds a new cluster of one node, in a new data\n"
      "directory, from that one of DATA_DIR... which has the furthest log, and keeps all of it.\n"
      "  --accept-loss         do it; without it only says what it would go on from\n"
      "  --name NAME           of the node (as it was)\n"
      "  --peer PEER_ADDR      where the others will reach it (as it was)\n",
      cmd_recover },
    { "fsck", "DATA_DIR...",
      "Offline and read-only: verifies log, index, state and snapshots of each data directory and\n"
      "applies the log; of several, checks that entries and states agree.  Names each damaged\n"
      "place by file and offset.  Exit code 8 when a directory is not usable as it is, 4 when the\n"
      "next start would repair it by itself, or when directories disagree.\n",
      cmd_fsck },
    { "log dump", "DATA_DIR [--from N] [--to N]",
      "Offline and read-only: prints every entry of a log, explained.\n", cmd_log_dump },
    { "doctor", "GIT_DIR",
      "Checks that the cluster decides every push to a repository on this machine.  Exit code 4\n"
      "when something is wrong.\n",
      cmd_doctor },
    { "completion", "bash|zsh|fish", "Prints a completion script for the shell.\n",
      cmd_completion },
    { "version", "[--node]",
      "Prints versions, as refkeeper --version; --node also that of the node reached.\n",
      cmd_version },
    { NULL, NULL, NULL, NULL },
};

/* SPDX-License-Identifier: Apache-2.0 */
/* The functions of the verb table. */
#ifndef CLI_VERBS_H
#define CLI_VERBS_H

struct cli;

int cmd_agent(struct cli *cli, int argc, char **argv);
int cmd_bench(struct cli *cli, int argc, char **argv);
int cmd_capacity(struct cli *cli, int argc, char **argv);
int cmd_completion(struct cli *cli, int argc, char **argv);
int cmd_doctor(struct cli *cli, int argc, char **argv);
int cmd_drain(struct cli *cli, int argc, char **argv);
int cmd_endpoint_hash(struct cli *cli, int argc, char **argv);
int cmd_filter_set(struct cli *cli, int argc, char **argv);
int cmd_filter_show(struct cli *cli, int argc, char **argv);
int cmd_force_authoritative(struct cli *cli, int argc, char **argv);
int cmd_fsck(struct cli *cli, int argc, char **argv);
int cmd_haproxy_sync(struct cli *cli, int argc, char **argv);
int cmd_history(struct cli *cli, int argc, char **argv);
int cmd_hook_daemon_access(struct cli *cli, int argc, char **argv);
int cmd_hook_install(struct cli *cli, int argc, char **argv);
int cmd_hook_post_receive(struct cli *cli, int argc, char **argv);
int cmd_hook_proc_receive(struct cli *cli, int argc, char **argv);
int cmd_hook_reference_transaction(struct cli *cli, int argc, char **argv);
int cmd_import(struct cli *cli, int argc, char **argv);
int cmd_scan(struct cli *cli, int argc, char **argv);
int cmd_rebuild(struct cli *cli, int argc, char **argv);
int cmd_limits_set(struct cli *cli, int argc, char **argv);
int cmd_limits_show(struct cli *cli, int argc, char **argv);
int cmd_log_dump(struct cli *cli, int argc, char **argv);
int cmd_member_add(struct cli *cli, int argc, char **argv);
int cmd_member_list(struct cli *cli, int argc, char **argv);
int cmd_member_promote(struct cli *cli, int argc, char **argv);
int cmd_member_remove(struct cli *cli, int argc, char **argv);
int cmd_member_replace(struct cli *cli, int argc, char **argv);
int cmd_member_update(struct cli *cli, int argc, char **argv);
int cmd_move_leader(struct cli *cli, int argc, char **argv);
int cmd_primary_set(struct cli *cli, int argc, char **argv);
int cmd_rebalance(struct cli *cli, int argc, char **argv);
int cmd_ref_delete(struct cli *cli, int argc, char **argv);
int cmd_ref_get(struct cli *cli, int argc, char **argv);
int cmd_ref_list(struct cli *cli, int argc, char **argv);
int cmd_ref_update(struct cli *cli, int argc, char **argv);
int cmd_recover(struct cli *cli, int argc, char **argv);
int cmd_repo_create(struct cli *cli, int argc, char **argv);
int cmd_repo_freeze(struct cli *cli, int argc, char **argv);
int cmd_repo_list(struct cli *cli, int argc, char **argv);
int cmd_repo_register(struct cli *cli, int argc, char **argv);
int cmd_repo_remove(struct cli *cli, int argc, char **argv);
int cmd_repo_remove_replica(struct cli *cli, int argc, char **argv);
int cmd_repo_rename(struct cli *cli, int argc, char **argv);
int cmd_repo_set_head(struct cli *cli, int argc, char **argv);
int cmd_repo_show(struct cli *cli, int argc, char **argv);
int cmd_repo_thaw(struct cli *cli, int argc, char **argv);
int cmd_report(struct cli *cli, int argc, char **argv);
int cmd_resolve(struct cli *cli, int argc, char **argv);
int cmd_route(struct cli *cli, int argc, char **argv);
int cmd_snapshot_restore(struct cli *cli, int argc, char **argv);
int cmd_snapshot_save(struct cli *cli, int argc, char **argv);
int cmd_snapshot_status(struct cli *cli, int argc, char **argv);
int cmd_snapshot_take(struct cli *cli, int argc, char **argv);
int cmd_status(struct cli *cli, int argc, char **argv);
int cmd_storage_list(struct cli *cli, int argc, char **argv);
int cmd_storage_remove(struct cli *cli, int argc, char **argv);
int cmd_storage_set(struct cli *cli, int argc, char **argv);
int cmd_undo(struct cli *cli, int argc, char **argv);
int cmd_verify(struct cli *cli, int argc, char **argv);
int cmd_version(struct cli *cli, int argc, char **argv);
int cmd_watch(struct cli *cli, int argc, char **argv);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* Commands about storages.  [DESIGN 3, 6] */
#include "model/refname.h"
#include "refdb/apply.h"
#include "refdb/storage.h"

/* Takes over the fields that are given; true when one differs. */
static bool merge_fields(const struct command *c, struct storage_record *record)
{
    struct storage_record old = *record;
    unsigned fields = c->u.set_storage.fields;

    if ((fields & SET_STORAGE_HTTP) != 0) {
        record->http_address = c->u.set_storage.http_address;
    }
    if ((fields & SET_STORAGE_SSH) != 0) {
        record->ssh_address = c->u.set_storage.ssh_address;
    }
    if ((fields & SET_STORAGE_ZONE) != 0) {
        record->zone = c->u.set_storage.zone;
    }
    if ((fields & SET_STORAGE_STATE) != 0) {
        record->state = c->u.set_storage.state;
    }
    return old.state != record->state || !slice_equal(old.http_address, record->http_address) ||
           !slice_equal(old.ssh_address, record->ssh_address) ||
           !slice_equal(old.zone, record->zone);
}

void apply_set_storage(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct slice name = c->u.set_storage.name;
    struct storage_record record = { .state = STORAGE_ACTIVE };
    bool is_known = storage_find(&a->db->maps, name, &record);
    bool is_changed = merge_fields(c, &record);

    if (!storage_name_is_valid(name) || apply_has_demands(a)) {
        item->status = RK_BADARG;
    } else if (!is_known && a->db->maps.storages.count >= STORAGES_MAX) {
        item->status = RK_TOOLARGE;
    } else if (is_known && !is_changed) {
        item->outcome = REFDB_ALREADY;
    } else {
        record.last_index = a->index;
        storage_put(a->db, name, &record);
        item->outcome = is_known ? REFDB_DONE : REFDB_CREATED;
        result_change(&a->db->results, REFDB_CHANGE_STORAGE, SLICE_NONE)->new_text = name;
    }
}

void apply_remove_storage(struct apply *a, const struct command *c)
{
    struct refdb_item *item = apply_one_item(a);
    struct slice name = c->u.remove_storage.name;
    name_id id = name_table_find(&a->db->storage_names.maps, name);

    if (apply_has_demands(a)) {
        item->status = RK_BADARG;
    } else if (id == 0) {
        apply_refuse_storage(a, item, name);
    } else if (storage_replica_count(a->db, id) > 0) {
        apply_refuse(a, item, RK_CONFLICT, slice_of_text("repositories use it"));
    } else {
        storage_remove(a->db, name);
        result_change(&a->db->results, REFDB_CHANGE_STORAGE, SLICE_NONE)->old_text = name;
    }
}

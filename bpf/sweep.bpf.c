/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Sums that no call cuts any more: handed out when user space asks, and their slots freed.
 */
#include "io.bpf.h"

struct sweep {
    __u64 now;
    __u32 all;
};

static long sweep_sum(struct bpf_map *map, struct io_key *found, struct io_sum *sum, struct sweep *sweep) {
    struct io_key key = *found;
    __s64 quietest = FORGET_NS + 1;
    for (__u32 direction = 0; direction < SUM_DIRECTIONS; direction++) {
        struct io_total *total = &sum->totals[direction];
        __s64 quiet = sweep->now - total->last_ns, long_ns = sweep->now - total->first_ns;
        if (quiet < quietest)
            quietest = quiet;
        if (!total->count)
            continue;
        if (sweep->all || quiet > (__s64)IDLE_NS)
            io_flush(&key, direction, 0);
        else if (long_ns >= (__s64)LONGEST_NS)
            io_flush(&key, direction, FLAG_UNTIMELY);
    }
    if (quietest < (__s64)FORGET_NS)
        return 0;
    bpf_spin_lock(&sum->lock);
    __u32 empty = !sum->totals[SUM_READ].count && !sum->totals[SUM_WRITE].count;
    if (empty)
        sum->dead = 1;
    bpf_spin_unlock(&sum->lock);
    if (empty) {
        bpf_map_delete_elem(&io_sums, &key);
        if (sum->about.path_length > SUM_PATH_BYTES)
            bpf_map_delete_elem(&io_long_paths, &key);
    }
    return 0;
}

/* To be run every 50 to 100 ms: hands out sums that went quiet or grew old. */
SEC("syscall")
int sweep(void *ctx) {
    struct sweep context = {.now = bpf_ktime_get_boot_ns()};
    bpf_for_each_map_elem(&io_sums, sweep_sum, &context, 0);
    return 0;
}

/* To be run once at the end, before the last drain: hands out all. */
SEC("syscall")
int sweep_all(void *ctx) {
    struct sweep context = {.now = bpf_ktime_get_boot_ns(), .all = 1};
    bpf_for_each_map_elem(&io_sums, sweep_sum, &context, 0);
    return 0;
}

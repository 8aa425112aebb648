/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * From an event to a record in the ring of its class, counted so that seen = submitted + lost, exactly.
 */
#ifndef INTACT_EMIT_BPF_H
#define INTACT_EMIT_BPF_H

#include "scope.bpf.h"

/* Keeps the compiler from forgetting a bound that the verifier must see. */
#ifndef barrier_var
#define barrier_var(var) asm volatile("" : "+r"(var))
#endif

#define RING(name, bytes)                                                                                              \
    struct {                                                                                                           \
        __uint(type, BPF_MAP_TYPE_RINGBUF);                                                                            \
        __uint(max_entries, bytes);                                                                                    \
    } name SEC(".maps")

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, FAMILY_COUNT *COUNT_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} counters __weak SEC(".maps");

static __always_inline void count_add(__u32 family, __u32 counter, __u64 amount) {
    __u32 key = family * COUNT_COUNTERS + counter;
    __u64 *value = bpf_map_lookup_elem(&counters, &key);
    if (value)
        *value += amount;
}

static __always_inline void count(__u32 family, __u32 counter) { count_add(family, counter, 1); }

/* A record that was due and could not be made. */
static __always_inline void count_lost(__u32 family, __u32 cause) {
    count(family, COUNT_SEEN);
    count(family, cause);
}

static __always_inline void fill_header(struct intact_header *header, __u64 start_ns, __u16 type, __u16 op) {
    __u64 tgid_tid = bpf_get_current_pid_tgid();
    __u64 gid_uid = bpf_get_current_uid_gid();
    header->ktime_ns = bpf_ktime_get_boot_ns();
    header->start_ns = start_ns;
    header->tgid = tgid_tid >> 32;
    header->tid = tgid_tid;
    header->uid = gid_uid;
    header->gid = gid_uid >> 32;
    header->cgroup_id = bpf_get_current_cgroup_id();
    header->type = type;
    header->op = op;
    header->length = 0;
    header->flags = 0;
    header->clipped = 0;
    header->sequence = 0;
}

/* One record of constant class `size`: the fixed part, then `length` bytes of `data`. Length is checked by the caller
 * to fit, and checked again here because the verifier does not know. */
static __always_inline int emit_record(void *ring, __u32 family, const __u32 size, const void *fixed,
                                       const __u32 fixed_bytes, const void *data, __u32 length) {
    count(family, COUNT_SEEN);
    char *record = bpf_ringbuf_reserve(ring, size, 0);
    if (!record) {
        count(family, LOST_RING_FULL);
        return -1;
    }
    __builtin_memcpy(record, fixed, fixed_bytes);
    barrier_var(length);
    if (length && length <= size - fixed_bytes)
        bpf_probe_read_kernel(record + fixed_bytes, length, data);
    bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
    count(family, COUNT_SUBMITTED);
    return 0;
}

/* Defines emit_<name>(fixed, data, length): picks the class by need. The longest variable part must fit the last.
 *
 * It is global, as all that many places call: the verifier walks such a function once and not once a call. Its pointers
 * are to memory of a fixed size; what is only handed on to a read helper is an address (__u64). */
#define DEFINE_EMIT(name, family, type)                                                                                \
    __noinline int emit_##name(const type *fixed, __u64 address, __u32 length) {                                       \
        const void *data = (const void *)address;                                                                      \
        __u32 need = sizeof(type) + length;                                                                            \
        if (!fixed)                                                                                                    \
            return 0;                                                                                                  \
        if (need <= CLASS_256)                                                                                         \
            return emit_record(&ring_##name##_256, family, CLASS_256, fixed, sizeof(type), data, length);              \
        if (need <= CLASS_1K)                                                                                          \
            return emit_record(&ring_##name##_1k, family, CLASS_1K, fixed, sizeof(type), data, length);                \
        if (need <= CLASS_4K)                                                                                          \
            return emit_record(&ring_##name##_4k, family, CLASS_4K, fixed, sizeof(type), data, length);                \
        return emit_record(&ring_##name##_16k, family, CLASS_16K, fixed, sizeof(type), data, length);                  \
    }

#endif

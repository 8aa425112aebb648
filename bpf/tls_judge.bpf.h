/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Whose plaintext may leave the kernel: until a process is known as an agent, only the request lines it writes and
 * reads are looked at, here, and nothing is copied out.
 *
 * A write that begins a wanted request makes the process known from that very write on. A read that begins one tells a
 * server of such requests: of it that connection is kept, which is how a gateway is told from an agent. A recording of
 * one command judges nobody.
 */
#ifndef INTACT_TLS_JUDGE_BPF_H
#define INTACT_TLS_JUDGE_BPF_H

#include "tls_state.bpf.h"

/* src/intact/collect/judgement.py writes and reads these maps. */
#define WANTED_MAX 64
#define WANTED_METHOD 8
#define WANTED_PREFIX 64
#define WANTED_SUFFIX 32
#define KNOWN_MAX 16384

enum tls_known_by { KNOWN_REFUSED, KNOWN_REQUEST, KNOWN_TOLD };
enum tls_judged_counter { JUDGED_OPERATIONS, JUDGED_BYTES, JUDGED_KNOWN, JUDGED_FULL, JUDGED_COUNTERS };

/* Which entries of tls_wanted count, in one word, so that a new table takes the place of the old one at once. */
#define JUDGE_COUNT(settings) ((__u32)(settings)&0xff)
#define JUDGE_FIRST(settings) ((__u32)((settings) >> 8) & 0xff)
#define JUDGE_ON(settings) ((settings) >> 63)

/* A request line wanted: its path begins and ends so, query left out. */
struct tls_wanted {
    __u8 method_length;
    __u8 prefix_length;
    __u8 suffix_length;
    __u8 is_exact; /* nothing between prefix and suffix */
    __u32 pad;
    char method[WANTED_METHOD];
    char prefix[WANTED_PREFIX];
    char suffix[WANTED_SUFFIX];
};

struct tls_process_key {
    __u64 start_ns;
    __u32 tgid;
    __u32 pad;
};

struct tls_known {
    __u64 since_ns;
    __u32 by;
    __u32 pad;
};

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 1);
    __type(key, __u32);
    __type(value, __u64);
} tls_judge_settings SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_ARRAY);
    __uint(max_entries, 2 * WANTED_MAX);
    __type(key, __u32);
    __type(value, struct tls_wanted);
} tls_wanted SEC(".maps");

/* Not an LRU map: an agent that waits for a person all day must not be forgotten. Its exit takes it out. */
struct {
    __uint(type, BPF_MAP_TYPE_HASH);
    __uint(map_flags, BPF_F_NO_PREALLOC);
    __uint(max_entries, KNOWN_MAX);
    __type(key, struct tls_process_key);
    __type(value, struct tls_known);
} tls_known SEC(".maps");

struct {
    __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
    __uint(max_entries, JUDGED_COUNTERS);
    __type(key, __u32);
    __type(value, __u64);
} tls_judged SEC(".maps");

static __always_inline void count_judged(__u32 counter, __u64 amount) {
    __u64 *value = bpf_map_lookup_elem(&tls_judged, &counter);
    if (value)
        *value += amount;
}

/* 0 where nobody is judged. */
static __always_inline __u64 judge_settings(void) {
    __u32 zero = 0;
    __u64 *settings = bpf_map_lookup_elem(&tls_judge_settings, &zero);
    __u64 value = settings ? *(volatile __u64 *)settings : 0;
    return JUDGE_ON(value) ? value : 0;
}

static __always_inline bool is_path_end(char c) { return c == ' ' || c == '?' || c == '\r' || c == '\n'; }

/* Loops are bpf_loop callbacks, which the verifier walks once, and compared are words under a mask: loops over bytes
 * with a way out of each turn cost it a million instructions. */
struct seek {
    struct tls_head *head;
    __u32 found;
};

static long seek_method_end(__u32 index, struct seek *seek) {
    struct tls_head *head = seek->head;
    if (!head)
        return 1;
    char c = head->text[index & (TLS_HEAD_BYTES - 1)];
    if (c == ' ')
        seek->found = index;
    return c < 'A' || c > 'Z';
}

static long seek_path_end(__u32 index, struct seek *seek) {
    struct tls_head *head = seek->head;
    if (!head)
        return 1;
    seek->found = index;
    return index >= head->length || (index > head->path && is_path_end(head->text[index & (TLS_HEAD_BYTES - 1)]));
}

/* Whether the first `length` bytes at `at` are those of `text`. */
static __always_inline bool head_has(const char *at, const char *text, __u32 length, const __u32 most) {
    __u64 seen[WANTED_PREFIX / 8], wanted[WANTED_PREFIX / 8], differ = 0;
    if (bpf_probe_read_kernel(seen, most, at) || bpf_probe_read_kernel(wanted, most, text))
        return false;
    for (__u32 i = 0; i < most / 8; i++) {
        __s32 left = (__s32)length - 8 * (__s32)i;
        __u64 mask = left >= 8 ? ~0ULL : left <= 0 ? 0 : ~0ULL >> (64 - 8 * left);
        differ |= (seen[i] ^ wanted[i]) & mask;
    }
    return !differ;
}

static __noinline int is_wanted(struct tls_head *head, struct tls_wanted *wanted) {
    if (!head || !wanted)
        return 0;
    __u32 path_length = head->end - head->path;
    __u32 ends = wanted->prefix_length + wanted->suffix_length;
    if (head->method != wanted->method_length || path_length < ends || (wanted->is_exact && path_length != ends))
        return 0;
    if (head->length == TLS_HEAD_BYTES && head->end == TLS_HEAD_BYTES && wanted->suffix_length)
        return 0; /* the end of the path is not in sight */
    const char *suffix = head->text + ((head->end - wanted->suffix_length) & (TLS_HEAD_BYTES - 1));
    return head_has(head->text, wanted->method, wanted->method_length, WANTED_METHOD) &&
           head_has(head->text + (head->path & (TLS_HEAD_BYTES - 1)), wanted->prefix, wanted->prefix_length,
                    WANTED_PREFIX) &&
           head_has(suffix, wanted->suffix, wanted->suffix_length, WANTED_SUFFIX);
}

struct trial {
    struct tls_head *head;
    __u32 first;
};

static long try_wanted(__u32 index, struct trial *trial) {
    __u32 key = trial->first + index;
    struct tls_wanted *wanted = bpf_map_lookup_elem(&tls_wanted, &key);
    struct tls_head *head = trial->head;
    if (!wanted || !head)
        return 1;
    if (!is_wanted(head, wanted))
        return 0;
    head->wanted = 1;
    return 1;
}

/* Looks at the first bytes of an operation: head->method is 0 if they begin no request. */
static __noinline int read_head(struct tls_head *head, __u64 buffer, __u64 bytes, __u64 settings) {
    if (!head)
        return 0;
    __u32 length = bytes < TLS_HEAD_BYTES ? bytes : TLS_HEAD_BYTES;
    head->wanted = 0;
    head->method = 0;
    head->text[0] = 0;
    if (bpf_probe_read_user(head->text, length, (void *)buffer))
        return 0;
    head->length = length;
    struct seek method = {.head = head};
    bpf_loop(WANTED_METHOD, seek_method_end, &method, 0);
    if (!method.found || head->text[(method.found + 1) & (TLS_HEAD_BYTES - 1)] != '/')
        return 0;
    head->method = method.found;
    head->path = method.found + 1;
    struct seek path = {.head = head};
    bpf_loop(TLS_HEAD_BYTES + 1, seek_path_end, &path, 0);
    head->end = path.found;
    struct trial trial = {.head = head, .first = JUDGE_FIRST(settings)};
    bpf_loop(JUDGE_COUNT(settings), try_wanted, &trial, 0);
    return head->wanted;
}

static __always_inline void become_known(const struct tls_process_key *key, __u32 by) {
    struct tls_known fresh = {.since_ns = bpf_ktime_get_boot_ns(), .by = by};
    count_judged(bpf_map_update_elem(&tls_known, key, &fresh, BPF_ANY) ? JUDGED_FULL : JUDGED_KNOWN, 1);
}

/* Whether this operation of a session may be copied out. A request begins where the direction turns: what a body says
 * in a write of its own is not looked at. */
static __always_inline bool may_leave(struct tls_thread *thread, struct tls_connection *connection, __u64 start_ns,
                                      __u64 buffer, __u64 bytes, __u32 way) {
    __u64 settings = judge_settings();
    if (!settings)
        return true;
    bool begins = connection->last_way != way + 1;
    connection->last_way = way + 1;
    struct tls_process_key key = {.start_ns = start_ns, .tgid = tls_tgid()};
    struct tls_known *known = bpf_map_lookup_elem(&tls_known, &key);
    if (known && known->by != KNOWN_REFUSED)
        return true;
    bool wanted = !known && begins && read_head(&thread->head, buffer, bytes, settings);
    if (wanted && way)
        become_known(&key, KNOWN_REQUEST);
    else if (!way && begins && !known && thread->head.method)
        connection->serves_wanted = wanted;
    if (wanted || (!known && connection->serves_wanted))
        return true;
    count_judged(JUDGED_OPERATIONS, 1);
    count_judged(JUDGED_BYTES, bytes);
    return false;
}

#endif

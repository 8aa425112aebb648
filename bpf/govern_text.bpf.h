/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * Texts of an exec against the texts of a rule: path, script, arguments.
 */
#ifndef INTACT_GOVERN_TEXT_BPF_H
#define INTACT_GOVERN_TEXT_BPF_H

#include "govern.bpf.h"

/* Kept in a map and not on the stack: the verifier would follow each of its values. */
struct argument_walk {
    __u32 entry;
    __u32 condition;
    __u32 length;
    __u32 index;
    __u32 start;
    __u32 found;
};

struct exec_scratch {
    char path[PATH_SCRATCH + 256];   /* filled from the end of the first part downward */
    char script[PATH_SCRATCH + 256]; /* as given, where the image is the script's interpreter */
    char argv[ARGV_SCRATCH + 256];
    struct argument_walk walk;
};

MAP(exec_scratches, BPF_MAP_TYPE_PERCPU_ARRAY, 1, __u32, struct exec_scratch);

static __always_inline struct exec_scratch *exec_scratch(void) {
    __u32 slot = 0;
    return bpf_map_lookup_elem(&exec_scratches, &slot);
}

enum { TEXT_PATH, TEXT_SCRIPT, TEXT_ARGV, TEXT_LINE };

/* Functions that the verifier checks by themselves: nested in one another as they are, they would be too much at once.
 */
#define APART __attribute__((noinline))

struct comparison {
    __u32 text;
    __u32 from;
    __u32 entry;
    __u32 condition;
    __u32 differs;
};

static long compare_step(__u32 at, void *context) {
    struct comparison *pair = context;
    struct exec_scratch *scratch = exec_scratch();
    struct govern_exec_entry *entry = bpf_map_lookup_elem(&exec_entries, &pair->entry);
    if (!scratch || !entry)
        return 1;
    char seen, wanted;
    if (pair->text >= TEXT_ARGV) {
        struct govern_condition *condition = &entry->condition[pair->condition & (GOVERN_CONDITIONS - 1)];
        seen = scratch->argv[(pair->from + at) & (ARGV_SCRATCH - 1)];
        wanted = condition->text[at & (GOVERN_ARGUMENT_TEXT - 1)];
        if (pair->text == TEXT_LINE && !seen)
            seen = ' ';
    } else {
        __u32 from = (pair->from + at) & (PATH_SCRATCH - 1);
        seen = pair->text == TEXT_PATH ? scratch->path[from] : scratch->script[from];
        wanted = entry->path[at & (GOVERN_PATH_TEXT - 1)];
    }
    pair->differs = seen != wanted;
    return pair->differs;
}

/* Whether `length` bytes of a text from `from` on are those of an entry: of its path, or of one of its conditions. */
APART int same_text(__u32 text, __u32 from, __u32 entry, __u32 condition, __u32 length) {
    struct comparison pair = {.text = text, .from = from, .entry = entry, .condition = condition};
    bpf_loop(length, compare_step, &pair, 0);
    return !pair.differs;
}

APART int path_matches(__u32 text, __u32 from, __u32 length, __u32 index) {
    struct govern_exec_entry *entry = bpf_map_lookup_elem(&exec_entries, &index);
    if (!entry)
        return 0;
    __u32 wanted = entry->path_length;
    if (entry->path_match == PATH_ANY)
        return 1;
    if (length < wanted || (entry->path_match == PATH_IS && length != wanted))
        return 0;
    return same_text(text, entry->path_match == PATH_ENDS ? from + length - wanted : from, index, 0, wanted);
}

static long argument_step(__u32 at, void *unused) {
    struct exec_scratch *scratch = exec_scratch();
    if (!scratch)
        return 1;
    struct argument_walk *walk = &scratch->walk;
    __u32 index = walk->entry;
    struct govern_exec_entry *entry = bpf_map_lookup_elem(&exec_entries, &index);
    if (!entry || at >= walk->length)
        return 1;
    struct govern_condition *wanted = &entry->condition[walk->condition & (GOVERN_CONDITIONS - 1)];
    __u8 match = wanted->match;
    __u32 end = at + wanted->length;
    bool is_line = match >= LINE_STARTS, here = is_line || wanted->index < 0 || (__u32)wanted->index == walk->index;
    if ((match == LINE_STARTS && at) || ((match == ARGUMENT_IS || match == ARGUMENT_STARTS) && at != walk->start))
        here = false;
    if ((match == ARGUMENT_IS || match == ARGUMENT_ENDS) &&
        (end >= walk->length || scratch->argv[end & (ARGV_SCRATCH - 1)]))
        here = false;
    if (here && end <= walk->length)
        walk->found = same_text(is_line ? TEXT_LINE : TEXT_ARGV, at, walk->entry, walk->condition, wanted->length);
    if (walk->found)
        return 1;
    if (!scratch->argv[at & (ARGV_SCRATCH - 1)]) {
        walk->index++;
        walk->start = at + 1;
    }
    return 0;
}

enum { TEXT_NO, TEXT_YES, TEXT_UNKNOWN };

APART int argument_matches(__u32 index, __u32 condition, __u32 length) {
    struct exec_scratch *scratch = exec_scratch();
    struct govern_exec_entry *entry = bpf_map_lookup_elem(&exec_entries, &index);
    if (!scratch || !entry)
        return TEXT_NO;
    scratch->walk = (struct argument_walk){.entry = index, .condition = condition, .length = length};
    bpf_loop(length, argument_step, NULL, 0);
    if (scratch->walk.found)
        return TEXT_YES;
    __s16 wanted = entry->condition[condition & (GOVERN_CONDITIONS - 1)].index;
    return wanted >= 0 && scratch->walk.index > (__u32)wanted ? TEXT_NO : TEXT_UNKNOWN;
}

/* Unknown: not in what was read; where that is all there is, it means no. */
APART int arguments_match(__u32 entry, __u32 conditions, __u32 length) {
    int answer = TEXT_YES;
    for (__u32 i = 0; i < GOVERN_CONDITIONS; i++) {
        if (i >= conditions)
            break;
        int found = argument_matches(entry, i, length);
        if (found == TEXT_NO)
            return TEXT_NO;
        if (found == TEXT_UNKNOWN)
            answer = TEXT_UNKNOWN;
    }
    return answer;
}

#endif

/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0-only
 *
 * The kernel's own structures of files, read through typed pointers.
 */
#include "path.bpf.h"

#define WALK_STEPS 4096 /* components are at least two bytes; mounts take a step too */

#define PIPEFS_MAGIC 0x50495045
#define SOCKFS_MAGIC 0x534F434B
#define ANON_INODE_MAGIC 0x09041934

struct path_walk {
    __u64 dentry;
    __u64 mount;
    char *buffer;
    __u32 position;
    __u32 done;
};

static long path_step(__u32 index, void *context) {
    struct path_walk *walk = context;
    struct dentry *dentry = AS(struct dentry, walk->dentry);
    struct mount *mount = AS(struct mount, walk->mount);
    struct dentry *parent = dentry->d_parent;
    if (dentry == mount->mnt.mnt_root || dentry == parent) {
        __u64 above = (__u64)mount->mnt_parent;
        if (above == walk->mount || !above) {
            walk->done = 1;
            return 1;
        }
        walk->dentry = (__u64)mount->mnt_mountpoint;
        walk->mount = above;
        return 0;
    }
    __u32 length = dentry->d_name.len;
    __u32 position = walk->position;
    if (length >= NAME_BYTES || position > PATH_BYTES || position < length + 1)
        return 1;
    position -= length;
    position &= PATH_BYTES - 1;
    length &= NAME_BYTES - 1;
    if (bpf_probe_read_kernel(walk->buffer + position, length, dentry->d_name.name))
        return 1;
    position = (position - 1) & (PATH_BYTES - 1);
    walk->buffer[position] = '/';
    walk->position = position;
    walk->dentry = (__u64)parent;
    return 0;
}

/* A file that no directory holds: a pipe, a socket, an anonymous inode, a memfd. */
static __noinline __u32 path_nameless(struct dentry *given, char *out) {
    struct dentry *dentry = AS(struct dentry, given);
    __u64 magic = dentry->d_sb->s_magic;
    __u64 inode = dentry->d_inode->i_ino;
    __u64 name = (__u64)dentry->d_name.name;
    if (!out)
        return 0;
    long written;
    if (magic == PIPEFS_MAGIC) {
        written = BPF_SNPRINTF(out, NAME_BYTES, "pipe:[%llu]", inode);
    } else if (magic == SOCKFS_MAGIC) {
        written = BPF_SNPRINTF(out, NAME_BYTES, "socket:[%llu]", inode);
    } else if (magic == ANON_INODE_MAGIC) {
        written = BPF_SNPRINTF(out, NAME_BYTES, "anon_inode:%s", name);
    } else if (dentry->d_name.len) {
        written = bpf_probe_read_kernel_str(out, NAME_BYTES, (void *)name);
    } else {
        __u64 kind = (__u64)dentry->d_sb->s_type->name;
        written = BPF_SNPRINTF(out, NAME_BYTES, "%s:[%llu]", kind, inode);
    }
    return written > 0 && written <= NAME_BYTES ? written - 1 : 0;
}

__noinline int path_walk(__u64 dentry, __u64 mnt, __u32 which, struct path_found *found) {
    struct path_scratch *scratch = path_scratch(which);
    if (!found)
        return -1;
    found->start = 0;
    found->length = 0;
    found->flags = 0;
    if (!scratch || !dentry || !mnt)
        return -1;
    __u64 mount = mnt - bpf_core_field_offset(struct mount, mnt);
    struct dentry *first = AS(struct dentry, dentry);
    if (first->d_parent == first && (__u64)AS(struct mount, mount)->mnt.mnt_root != dentry) {
        found->start = (__u64)scratch->guard;
        found->length = path_nameless(first, scratch->guard);
        return 0;
    }
    struct path_walk walk = {.dentry = dentry, .mount = mount, .buffer = scratch->path, .position = PATH_BYTES};
    bpf_loop(WALK_STEPS, path_step, &walk, 0);
    if (!walk.done)
        found->flags = FLAG_PATH_CLIPPED;
    __u32 position = walk.position;
    if (position >= PATH_BYTES) { /* the root itself */
        position = PATH_BYTES - 1;
        scratch->path[PATH_BYTES - 1] = '/';
    }
    found->start = (__u64)(scratch->path + position);
    found->length = PATH_BYTES - position;
    return 0;
}

/* As stat(2) shows it. */
static __always_inline __u32 device_of(struct inode *inode) {
    __u32 device = inode->i_sb->s_dev, major = device >> 20, minor = device & 0xfffff;
    return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}

__noinline int file_of(int fd, struct open_file *opened) {
    struct task_struct *task = CURRENT;
    struct fdtable *table = task->files->fdt;
    if (!opened || (__u32)fd >= table->max_fds)
        return -1;
    __u64 address = word_at((void *)(word_at(&table->fd) + (__u32)fd * sizeof(address)));
    if (!address)
        return -1;
    struct file *file = AS(struct file, address);
    struct inode *inode = file->f_inode;
    opened->file = address;
    opened->dentry = (__u64)file->f_path.dentry;
    opened->mnt = (__u64)file->f_path.mnt;
    opened->private_data = (__u64)file->private_data;
    opened->inode = inode->i_ino;
    opened->references = file->f_ref.refcnt.counter;
    opened->device = device_of(inode);
    opened->mode = inode->i_mode;
    opened->open_mode = file->f_mode;
    opened->pad = 0;
    return 0;
}

__noinline int path_of_fd(int fd, struct path_found *found) {
    struct open_file opened = {};
    if (!found)
        return -1;
    found->length = 0;
    found->flags = 0;
    return file_of(fd, &opened) ? -1 : path_of(&opened, found);
}

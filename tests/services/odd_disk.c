/* Calls that some file systems refuse, refused here on any: loaded before the C library by LD_PRELOAD.
 *
 * Each variable holds the errno of the refusal; without it the call is the usual one.
 *   ODD_LINK          hard links (FAT and exFAT: 1, many FUSE file systems: 38, SMB: 95)
 *   ODD_RENAME        renaming with flags, as in "without replacing"
 *   ODD_FLOCK         locks of the whole file
 *   ODD_FOLDER_FSYNC  fsync of a folder
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define REFUSED(name) (getenv(name) != NULL && (errno = atoi(getenv(name))) != 0)
#define USUAL(result, name, ...) ((result(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

int link(const char *from, const char *to) {
    if (REFUSED("ODD_LINK")) return -1;
    return USUAL(int, "link", const char *, const char *)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    if (REFUSED("ODD_LINK")) return -1;
    return USUAL(int, "linkat", int, const char *, int, const char *, int)(from_folder, from, to_folder, to, flags);
}

int renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned flags) {
    if (flags != 0 && REFUSED("ODD_RENAME")) return -1;
    return USUAL(int, "renameat2", int, const char *, int, const char *, unsigned)(from_folder, from, to_folder, to,
                                                                                  flags);
}

int flock(int descriptor, int operation) {
    if (REFUSED("ODD_FLOCK")) return -1;
    return USUAL(int, "flock", int, int)(descriptor, operation);
}

int fsync(int descriptor) {
    struct stat status;
    if (fstat(descriptor, &status) == 0 && S_ISDIR(status.st_mode) && REFUSED("ODD_FOLDER_FSYNC")) return -1;
    return USUAL(int, "fsync", int)(descriptor);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon/process.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/logging.h"

#define DESCRIPTORS_RESERVED 128 /* for the log, snapshots, peers */

static void raise_descriptors(const struct config *c)
{
    uint64_t wanted = (uint64_t)config_number(c, CONFIG_MAX_CLIENTS) +
                      (uint64_t)config_number(c, CONFIG_MAX_HTTP) + DESCRIPTORS_RESERVED;
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
            log_warn("cannot raise the limit of open files: %s", strerror(errno));
        }
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < wanted) {
        log_warn("only %ju open files are allowed; max-clients and max-http can need %ju",
                 (uintmax_t)limit.rlim_cur, (uintmax_t)wanted);
    }
}

void process_prepare(const struct config *c)
{
    umask(077);
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors(c);
    if (config_text(c, CONFIG_PEER_KEY) != NULL || config_text(c, CONFIG_CLIENT_KEY) != NULL) {
        (void)prctl(PR_SET_DUMPABLE, 0);
    }
}

static uint64_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    uint64_t count = 0;

    if (folder == NULL) {
        return 0;
    }
    while (readdir(folder) != NULL) {
        count++;
    }
    closedir(folder);
    return count > 3 ? count - 3 : 0; /* "." and "..", and the folder itself */
}

static double seconds(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

void process_get_facts(struct process_facts *ret_facts)
{
    FILE *file = fopen("/proc/self/statm", "re");
    struct rusage usage;
    struct rlimit limit;
    uint64_t pages = 0;

    *ret_facts = (struct process_facts){ .resident_bytes = 0 };
    if (file != NULL) {
        if (fscanf(file, "%*u %" SCNu64, &pages) == 1) {
            ret_facts->resident_bytes = pages * (uint64_t)sysconf(_SC_PAGESIZE);
        }
        fclose(file);
    }
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        ret_facts->cpu_seconds = seconds(&usage.ru_utime) + seconds(&usage.ru_stime);
    }
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        ret_facts->descriptors_max = limit.rlim_cur;
    }
    ret_facts->open_descriptors = count_descriptors();
}

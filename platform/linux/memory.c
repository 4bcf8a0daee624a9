/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory of a process. Host physical addresses are the process's own virtual ones. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/log.h"
#include "platform/linux/linux.h"
#include "platform/platform.h"

/* From this order on (2 MiB) memory is a mapping of its own: a guest's RAM. It takes no room until
 * it is touched, so what is promised is counted. */
#define BIG_ORDER 9
#define MAX_ORDER 22 /* 16 GiB */

/* What the machine is left when guests have got all the rest. */
#define MARGIN (64 * HC_MIB)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* of the two */
static uint64_t promised;                                /* bytes of big pieces in use */
static uint64_t budget; /* what was available when the first of them was taken */

/* The number after key in a file of lines "key number ..."; false if there is none. */
static bool read_number(const char *path, const char *key, uint64_t *value)
{
	FILE *f = fopen(path, "re");
	char line[128];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		unsigned long long n;

		if (strncmp(line, key, strlen(key)) == 0 &&
		    sscanf(line + strlen(key), "%llu", &n) == 1) {
			*value = n;
			found = true;
		}
	}
	if (f)
		fclose(f);
	return found;
}

/* What a control group leaves, where there is one with a limit (cgroup v2 and v1). */
static uint64_t left_by_group(const char *limit_file, const char *used_file)
{
	uint64_t limit, used;

	if (!read_number(limit_file, "", &limit) || !read_number(used_file, "", &used))
		return UINT64_MAX;
	return limit > used ? limit - used : 0;
}

static uint64_t machine_available(void)
{
	uint64_t kib, available = UINT64_MAX;

	if (read_number("/proc/meminfo", "MemAvailable:", &kib))
		available = kib * HC_KIB;
	available = hc_min(available, left_by_group("/sys/fs/cgroup/memory.max",
	                                            "/sys/fs/cgroup/memory.current"));
	available = hc_min(available, left_by_group("/sys/fs/cgroup/memory/memory.limit_in_bytes",
	                                            "/sys/fs/cgroup/memory/memory.usage_in_bytes"));
	return available > MARGIN ? available - MARGIN : 0;
}

static uint64_t left_locked(void)
{
	if (!promised)
		budget = machine_available();
	return budget > promised ? budget - promised : 0;
}

uint64_t linux_memory_available(void)
{
	pthread_mutex_lock(&lock);
	uint64_t left = left_locked();

	pthread_mutex_unlock(&lock);
	return left;
}

static bool promise(uint64_t size)
{
	pthread_mutex_lock(&lock);
	bool ok = size <= left_locked();

	if (ok)
		promised += size;
	pthread_mutex_unlock(&lock);
	return ok;
}

static void take_back(uint64_t size)
{
	pthread_mutex_lock(&lock);
	promised -= size;
	pthread_mutex_unlock(&lock);
}

/* A mapping aligned to its size: one of twice the size, less both ends. */
static void *map_aligned(size_t size)
{
	uint8_t *p = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE,
	                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	size_t before = (size_t)(HC_ALIGN_UP((uintptr_t)p, size) - (uintptr_t)p);

	if (before)
		munmap(p, before);
	munmap(p + before + size, size - before);
	madvise(p + before, size, MADV_HUGEPAGE); /* a wish */
	return p + before;
}

static void *alloc_zeroed(size_t align, size_t size)
{
	void *p = aligned_alloc(align, HC_ALIGN_UP(size, align));

	if (p)
		memset(p, 0, size);
	return p;
}

void *hc_platform_alloc_pages(unsigned order)
{
	size_t size = HC_PAGE_SIZE << order;

	if (order < BIG_ORDER)
		return alloc_zeroed(size, size);
	if (order > MAX_ORDER || !promise(size))
		return NULL;
	void *p = map_aligned(size);

	if (!p)
		take_back(size);
	return p;
}

/* A new mapping is zero. */
void *hc_platform_alloc_raw(unsigned order)
{
	return hc_platform_alloc_pages(order);
}

void hc_platform_clear(void *p, uint64_t size)
{
}

void hc_platform_free_pages(void *p, unsigned order)
{
	size_t size = HC_PAGE_SIZE << order;

	if (order < BIG_ORDER) {
		free(p);
		return;
	}
	munmap(p, size);
	take_back(size);
}

void *hc_platform_alloc(size_t size)
{
	return alloc_zeroed(64, size);
}

void hc_platform_free(void *p, size_t size)
{
	free(p);
}

static void *map_file(int fd, size_t size, int protection)
{
	void *p = mmap(NULL, size, protection, MAP_SHARED, fd, 0);

	return p == MAP_FAILED ? NULL : p;
}

void *hc_platform_alloc_code(size_t size, void **writable)
{
	int fd = memfd_create("hypercore code", MFD_CLOEXEC);
	void *code = NULL;

	if (fd < 0)
		return NULL;
	*writable = ftruncate(fd, (off_t)size) ? NULL : map_file(fd, size, PROT_READ | PROT_WRITE);
	if (*writable)
		code = map_file(fd, size, PROT_READ | PROT_EXEC);
	if (*writable && !code)
		munmap(*writable, size);
	close(fd);
	return code;
}

hpa_t hc_platform_to_hpa(const void *p)
{
	return hpa_of((uintptr_t)p);
}

void *hc_platform_from_hpa(hpa_t pa)
{
	return (void *)(uintptr_t)pa.v;
}

unsigned hc_platform_max_order(void)
{
	return MAX_ORDER;
}

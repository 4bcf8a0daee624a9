/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * bench-mmu FORMAT PAGE: maps 1 GiB in 4 KiB or 2 MiB pages, makes it read-only, looks every page
 * up, and unmaps it. It prints how many leaf entries there were; who counts instructions does so
 * per function (bench/mmu.py). Tables are taken from memory that is zeroed beforehand, as a
 * hypervisor would keep it.
 */
#include "mmu/ept.h"
#include "mmu/format.h"
#include "mmu/npt.h"
#include "mmu/vmsav8.h"
#include <hypercore/errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TABLES 1024
#define SIZE   HC_GIB

static uint64_t memory[TABLES][S2_ENTRIES];
static size_t used = 16; /* none is at address 0 */

static int bench_alloc(void *ctx, unsigned order, hpa_t *table)
{
	size_t pages = (size_t)1 << order;

	used = (used + pages - 1) / pages * pages;
	if (used + pages > TABLES)
		return -ENOMEM;
	table->v = used * S2_TABLE_SIZE;
	used += pages;
	return 0;
}

static void bench_free(void *ctx, hpa_t table, unsigned order)
{
}

static s2_entry_t *bench_ptr(void *ctx, hpa_t table)
{
	return (s2_entry_t *)memory[table.v / S2_TABLE_SIZE];
}

static void bench_invalidate(void *ctx, gpa_t gpa, uint64_t size)
{
}

static void bench_sync(void *ctx, const s2_entry_t *entries, size_t bytes)
{
}

static const struct mm_ops bench_ops = { bench_alloc, bench_free, bench_ptr, bench_invalidate,
	                                 bench_sync };

static const struct s2_format *const formats[] = { &ept_format, &ept_ad_format, &npt_format,
	                                           &vmsav8_format };

static const struct s2_format *format_named(const char *name)
{
	for (size_t i = 0; i < HC_ARRAY_SIZE(formats); i++)
		if (strcmp(formats[i]->name, name) == 0)
			return formats[i];
	return NULL;
}

/* The functions whose instructions are counted, each for the whole of SIZE. */
int bench_map(struct s2 *s2);
int bench_protect(struct s2 *s2);
int bench_walk(struct s2 *s2, uint64_t page);
int bench_unmap(struct s2 *s2);

__attribute__((noinline)) int bench_map(struct s2 *s2)
{
	return s2_map(s2, gpa_of(SIZE), hpa_of(4 * SIZE), SIZE, S2_RWX | S2_WB);
}

__attribute__((noinline)) int bench_protect(struct s2 *s2)
{
	return s2_protect(s2, gpa_of(SIZE), SIZE, S2_R | S2_X);
}

__attribute__((noinline)) int bench_walk(struct s2 *s2, uint64_t page)
{
	struct s2_mapping m;
	int err = 0;

	for (uint64_t at = 0; at < SIZE && !err; at += page) {
		err = s2_walk(s2, gpa_of(SIZE + at), &m);
		if (!err && (m.size != page || m.hpa.v != 4 * SIZE + at))
			err = -EFAULT;
	}
	return err;
}

__attribute__((noinline)) int bench_unmap(struct s2 *s2)
{
	return s2_unmap(s2, gpa_of(SIZE), SIZE);
}

int main(int argc, char **argv)
{
	const struct s2_format *format = argc == 3 ? format_named(argv[1]) : NULL;
	uint64_t page = argc == 3 ? strtoull(argv[2], NULL, 0) : 0;
	struct s2 s2;

	if (!format || (page != S2_PAGE_4K && page != S2_PAGE_2M)) {
		fprintf(stderr, "usage: bench-mmu ept|ept-ad|npt|vmsav8 4096|2097152\n");
		return 2;
	}
	if (s2_init(&s2, format, &bench_ops, NULL, 40) || s2_limit_page(&s2, page) ||
	    bench_map(&s2) || bench_walk(&s2, page) || bench_protect(&s2) || bench_unmap(&s2)) {
		fprintf(stderr, "bench-mmu: an operation failed\n");
		return 1;
	}
	printf("%llu\n", (unsigned long long)(SIZE / page));
	return 0;
}

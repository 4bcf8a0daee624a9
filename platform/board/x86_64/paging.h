/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The board's own page tables (4 levels). Everything is mapped at start-up by the boot CPU; all
 * CPUs share one root, so what is mapped later is seen by all.
 */
#ifndef PLATFORM_BOARD_X86_64_PAGING_H
#define PLATFORM_BOARD_X86_64_PAGING_H

#include <hypercore/types.h>

#include "platform/board/ranges.h"

enum paging_kind {
	PAGING_RX,        /* the image's code */
	PAGING_RO,        /* constants, firmware tables */
	PAGING_RW,        /* RAM */
	PAGING_UNCACHED,  /* device registers */
	PAGING_COMBINING, /* framebuffers */
	PAGING_LOW_CODE,  /* RWX: the page from which other CPUs start, while they do */
	PAGING_KINDS
};

/* Builds tables that map the image at image_base and all of ram, from pages taken out of unused (a
 * part of ram), and switches to them: from here on RAM is reached at DIRECT_BASE only. Before this
 * call the first 4 GiB are mapped one to one. -ENOMEM. */
int paging_start(const struct ranges *ram, struct ranges *unused, uint64_t image_base);

/* Maps [pa, pa + size) at va; all multiples of the page size. -ENOMEM (for tables), -EEXIST. */
int paging_map(uint64_t va, uint64_t pa, uint64_t size, enum paging_kind kind);

/* Takes a mapping of single pages away; other CPUs must not have used it, or flush themselves. */
void paging_unmap(uint64_t va, uint64_t size);

/* Maps size bytes at pa somewhere, for good, and returns the pointer to pa. NULL: no memory. */
void *paging_window(hpa_t pa, uint64_t size, enum paging_kind kind);

/* Memory for a stack of size bytes (a multiple of the page size) with unmapped pages around it.
 * Returns its top, or 0 if there is no memory. */
uint64_t paging_stack(uint64_t size);

/* True if va is in one of the gaps between stacks. */
bool paging_is_guard(uint64_t va);

/* Physical address of va. False if it is not mapped. */
bool paging_lookup(uint64_t va, hpa_t *pa);

/* Turns the protections on that the calling CPU has (NX, WP, SMEP, SMAP, UMIP, PAT) and loads the
 * root. */
void paging_enable(void);

/* The root table's address, below 4 GiB. */
uint32_t paging_root(void);

/* What starting CPUs have to put into EFER (its low half) to use the tables. */
uint32_t paging_efer(void);

/* Forgets translations that are not in use any more. */
void paging_flush(void);

#endif

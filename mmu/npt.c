/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nested page tables: the long-mode format of the host's own paging (APM Vol. 2 5.3).
 *
 *    63  62        52 51            12 11 10  9  8  7  6  5   4   3   2  1  0
 *   +--+-------------+-----------------+-----+--+--+--+--+--+---+---+---+--+--+
 *   |NX|  available  |     address     |     |sw|G |PS|D |A |PCD|PWT| US|W |P |
 *   +--+-------------+-----------------+-----+--+--+--+--+--+---+---+---+--+--+
 *
 * Guest accesses count as user accesses (15.25.5): US is set at every level. Present implies
 * readable. PWT and PCD choose one of the host PAT's first four entries; the PAT bit, whose place
 * depends on the page's size, stays clear.
 */
#include "mmu/npt.h"
#include "mmu/format.h"

#define NPT_PRESENT  HC_BIT(0)
#define NPT_WRITE    HC_BIT(1)
#define NPT_USER     HC_BIT(2)
#define NPT_PWT      HC_BIT(3)
#define NPT_PCD      HC_BIT(4)
#define NPT_ACCESSED HC_BIT(5)
#define NPT_DIRTY    HC_BIT(6)
#define NPT_PAGE     HC_BIT(7) /* the entry maps a page, on levels above the last */
#define NPT_SW_LOG   HC_BIT(9)
#define NPT_ADDRESS  UINT64_C(0x000ffffffffff000)
#define NPT_NX       HC_BIT(63)

/* PAT entries that the bits of an entry choose, and the types in them (APM Vol. 2 7.8.1). */
#define NPT_PAT_INDEX(bits) (((bits)&NPT_PWT ? 1 : 0) | ((bits)&NPT_PCD ? 2 : 0))
#define NPT_PAT_TYPE(bits)  ((uint8_t)(NPT_HOST_PAT >> (bits))) /* bits 4:3: 8 times the index */
#define PAT_UC              0
#define PAT_WC              1
#define PAT_WB              6

#define NPT_TYPE_WB 0
#define NPT_TYPE_UC (NPT_PWT | NPT_PCD)
#define NPT_TYPE_WC NPT_PWT

const struct s2_format npt_format = {
	.name = "npt",
	.min_levels = 4,
	.max_levels = 4,
	.min_ipa_bits = 32,
	.oa_bits = 52,
	.hw_dirty = true,
	.valid = NPT_PRESENT,
	.leaf_mask = NPT_PAGE,
	.leaf_value = NPT_PAGE,
	.address = NPT_ADDRESS,
	.table = NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_ACCESSED,
	/* Accessed from the start: nobody looks at the flag, and a CPU need not set it. */
	.leaf = { NPT_ACCESSED, NPT_ACCESSED | NPT_PAGE, NPT_ACCESSED | NPT_PAGE },
	.read = NPT_PRESENT | NPT_USER,
	.write = NPT_WRITE,
	.no_exec = NPT_NX,
	.type = { NPT_TYPE_WB, NPT_TYPE_UC, NPT_TYPE_WC },
	.type_mask = NPT_PWT | NPT_PCD,
	.dirty = NPT_DIRTY,
	.may_write = NPT_SW_LOG,
};

_Static_assert(NPT_PAT_TYPE(NPT_TYPE_WB) == PAT_WB, "write-back");
_Static_assert(NPT_PAT_TYPE(NPT_TYPE_UC) == PAT_UC, "strong uncacheable");
_Static_assert(NPT_PAT_TYPE(NPT_TYPE_WC) == PAT_WC, "write-combining");
_Static_assert((NPT_ADDRESS & (NPT_NX | UINT64_C(0xfff))) == 0, "fields are disjoint");
_Static_assert((NPT_SW_LOG & ~UINT64_C(0xe00)) == 0, "our bit is among AVL, bits 11:9");
_Static_assert((NPT_PRESENT | NPT_WRITE | NPT_USER | NPT_ACCESSED | NPT_DIRTY | NPT_PAGE) == 0xe7,
               "a present, writable, used and written 2 MiB page");

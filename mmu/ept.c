/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Extended page tables.
 *
 *    63        54  53 52 51            12 11 10  9   8   7   6  5   3  2  1  0
 *   +------------+--+--+-----------------+-----+---+---+---+---+------+--+--+--+
 *   |  ignored   |sw|sw|     address     |     | D | A |PS |IPT| type |X |W |R |
 *   +------------+--+--+-----------------+-----+---+---+---+---+------+--+--+--+
 *
 * A table's entry has only the address and X, W, R. An entry without any of X, W, R is not present.
 * Bits 10 and 57 to 63 mean something under controls that are not enabled, and stay clear.
 */
#include "mmu/ept.h"
#include "mmu/format.h"

#define EPT_READ     HC_BIT(0)
#define EPT_WRITE    HC_BIT(1)
#define EPT_EXEC     HC_BIT(2)
#define EPT_TYPE(t)  ((uint64_t)(t) << 3)
#define EPT_PAGE     HC_BIT(7) /* the entry maps a page, on levels above the last */
#define EPT_ACCESSED HC_BIT(8)
#define EPT_DIRTY    HC_BIT(9)
#define EPT_ADDRESS  UINT64_C(0x000ffffffffff000)
#define EPT_SW_LOG   HC_BIT(52)
#define EPT_SW_DIRTY HC_BIT(53)

#define EPT_UC 0 /* the encodings of IA32_MTRR types */
#define EPT_WC 1
#define EPT_WB 6

#define EPT_RWX (EPT_READ | EPT_WRITE | EPT_EXEC)

/* The guest's PAT stays in force (bit 6 clear): a guest may map a device's frame buffer as WC. */
#define EPT_COMMON                                                                                 \
	.min_levels = 4, .max_levels = 4, .min_ipa_bits = 32, .oa_bits = 52, .valid = EPT_RWX,     \
	.leaf_mask = EPT_PAGE, .leaf_value = EPT_PAGE, .address = EPT_ADDRESS, .table = EPT_RWX,   \
	.read = EPT_READ, .write = EPT_WRITE, .exec = EPT_EXEC, .type_mask = EPT_TYPE(7),          \
	.type = { EPT_TYPE(EPT_WB), EPT_TYPE(EPT_UC), EPT_TYPE(EPT_WC) }, .may_write = EPT_SW_LOG

const struct s2_format ept_format = {
	EPT_COMMON,
	.name = "ept",
	.leaf = { 0, EPT_PAGE, EPT_PAGE },
	.dirty = EPT_SW_DIRTY,
};

/* Accessed from the start: nobody looks at the flag, and a CPU need not set it. */
const struct s2_format ept_ad_format = {
	EPT_COMMON,
	.name = "ept-ad",
	.hw_dirty = true,
	.leaf = { EPT_ACCESSED, EPT_ACCESSED | EPT_PAGE, EPT_ACCESSED | EPT_PAGE },
	.dirty = EPT_DIRTY,
};

/* SDM Vol. 3C 25.6.11 "Extended-Page-Table Pointer". */
#define EPTP_WALK_LENGTH(levels) (((uint64_t)(levels)-1) << 3)
#define EPTP_ENABLE_AD           HC_BIT(6)

uint64_t ept_eptp(const struct s2 *s2)
{
	return s2->root.v | EPT_WB | EPTP_WALK_LENGTH(s2->root_level + 1) |
	       (s2->format->hw_dirty ? EPTP_ENABLE_AD : 0);
}

_Static_assert((EPT_ADDRESS & (EPT_RWX | EPT_TYPE(7) | EPT_PAGE | EPT_ACCESSED | EPT_DIRTY)) == 0,
               "fields are disjoint");
_Static_assert(((EPT_SW_LOG | EPT_SW_DIRTY) & ~UINT64_C(0x01f0000000000000)) == 0,
               "our bits are among 56:52, which no control gives a meaning");
_Static_assert((EPT_PAGE | EPT_RWX | EPT_TYPE(EPT_WB)) == 0xb7, "a write-back 2 MiB page");
_Static_assert(EPTP_WALK_LENGTH(4) == 0x18, "four levels are encoded as 3");

/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * VMSAv8-64 stage 2, 4 KiB granule.
 *
 *    63    59 58  56 55 54 53 52 51 50 48 47          12 11 10 9  8 7   6 5       2 1  0
 *   +--------+------+--+-----+--+--+-----+--------------+--+--+----+-----+---------+--+--+
 *   |  ign.  |  sw  |sw| XN  |C |D | 0   |   address    |0 |AF| SH |S2AP | MemAttr |T |V |
 *   +--------+------+--+-----+--+--+-----+--------------+--+--+----+-----+---------+--+--+
 *
 * T, with V set: a table on upper levels, a page on the last; clear: a block. Blocks exist on two
 * levels, as on x86. Software may use bits 58:55.
 */
#include "mmu/vmsav8.h"
#include "mmu/format.h"

#define V8_VALID   HC_BIT(0)
#define V8_TABLE   HC_BIT(1) /* a table, or a page of the last level; clear in a block */
#define V8_ATTR(a) ((uint64_t)(a) << 2)
#define V8_READ    HC_BIT(6) /* S2AP[0] */
#define V8_WRITE   HC_BIT(7) /* S2AP[1] */
#define V8_SH(s)   ((uint64_t)(s) << 8)
#define V8_AF      HC_BIT(10)
#define V8_ADDRESS UINT64_C(0x0000fffffffff000)
#define V8_XN      HC_BIT(54) /* XN[1:0] = 0b10: nowhere; also right without FEAT_XNX */
#define V8_SW_LOG  HC_BIT(55)
#define V8_SW_DIRT HC_BIT(56)

/* MemAttr (D8.6): bits 3:2 outer, 1:0 inner. */
#define ATTR_DEVICE_NGNRE 0x1
#define ATTR_NORMAL_NC    0x5
#define ATTR_NORMAL_WB    0xf
#define SH_OUTER          2
#define SH_INNER          3

const struct s2_format vmsav8_format = {
	.name = "vmsav8",
	.min_levels = 2,
	.max_levels = 4,
	.concat_bits = 4,
	.min_ipa_bits = 32,
	.oa_bits = 48,
	.break_before_make = true,
	.stale_faults = true,
	.valid = V8_VALID,
	.leaf_mask = V8_TABLE,
	.leaf_value = 0,
	.address = V8_ADDRESS,
	.table = V8_VALID | V8_TABLE,
	/* An access flag fault would be one more exit: set from the start. */
	.leaf = { V8_VALID | V8_TABLE | V8_AF, V8_VALID | V8_AF, V8_VALID | V8_AF },
	.read = V8_READ,
	.write = V8_WRITE,
	.no_exec = V8_XN,
	.type = { V8_ATTR(ATTR_NORMAL_WB) | V8_SH(SH_INNER),
	          V8_ATTR(ATTR_DEVICE_NGNRE) | V8_SH(SH_OUTER),
	          V8_ATTR(ATTR_NORMAL_NC) | V8_SH(SH_OUTER) },
	.type_mask = V8_ATTR(0xf) | V8_SH(3),
	.dirty = V8_SW_DIRT,
	.may_write = V8_SW_LOG,
};

/* Fields of VTCR_EL2. */
#define VTCR_T0SZ(bits) ((uint64_t)(64 - (bits)))
#define VTCR_SL0(sl0)   ((uint64_t)(sl0) << 6)
#define VTCR_IRGN0_WB   (UINT64_C(1) << 8)
#define VTCR_ORGN0_WB   (UINT64_C(1) << 10)
#define VTCR_SH0_INNER  (UINT64_C(3) << 12)
#define VTCR_PS(p)      ((uint64_t)(p) << 16)
#define VTCR_RES1       HC_BIT(31)
#define PARANGE_48      5

uint64_t vmsav8_vtcr(const struct s2 *s2, unsigned parange)
{
	/* With this granule SL0 0, 1, 2 start the walk at Arm's level 2, 1, 0: level 1, 2, 3 here.
	 */
	return VTCR_RES1 | VTCR_PS(hc_min(parange, PARANGE_48)) | VTCR_SH0_INNER | VTCR_ORGN0_WB |
	       VTCR_IRGN0_WB | VTCR_SL0(s2->root_level - 1) | VTCR_T0SZ(s2->ipa_bits);
}

uint64_t vmsav8_vttbr(const struct s2 *s2, uint16_t vmid)
{
	return (uint64_t)vmid << 48 | s2->root.v;
}

_Static_assert((V8_ADDRESS & (V8_XN | V8_SW_LOG | V8_SW_DIRT | UINT64_C(0xfff))) == 0,
               "fields are disjoint");
_Static_assert(((V8_SW_LOG | V8_SW_DIRT) & ~UINT64_C(0x0780000000000000)) == 0,
               "our bits are among 58:55");
_Static_assert((V8_VALID | V8_TABLE | V8_ATTR(ATTR_NORMAL_WB) | V8_READ | V8_WRITE |
                V8_SH(SH_INNER) | V8_AF) == 0x7ff,
               "a page of ordinary memory");

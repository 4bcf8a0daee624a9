/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/memory.h"

#include <hypercore/errno.h>
#include <hypercore/freestanding.h>

#include "core/log.h"
#include "core/touch.h"
#include "core/vm.h"

/* --- How the stage-2 engine reaches the platform's memory and the backend's TLBs --- */

static int table_alloc(void *ctx, unsigned order, hpa_t *table)
{
	void *p = hc_platform_alloc_pages(order);

	if (!p)
		return -ENOMEM;
	*table = hc_platform_to_hpa(p);
	return 0;
}

static void table_free(void *ctx, hpa_t table, unsigned order)
{
	hc_platform_free_pages(hc_platform_from_hpa(table), order);
}

static s2_entry_t *table_ptr(void *ctx, hpa_t table)
{
	return hc_platform_from_hpa(table);
}

static void table_invalidate(void *ctx, gpa_t gpa, uint64_t size)
{
	struct hc_vm *vm = ctx;

	for (unsigned i = 0; i < HC_VM_BACKENDS && vm->parts[i].ops; i++)
		vm->parts[i].ops->invalidate(vm, gpa, size);
}

/* The fence orders the writes before whatever tells the guest about them; not every CPU's walkers
 * are bound by it. */
static void table_sync(void *ctx, const s2_entry_t *entries, size_t bytes)
{
	struct hc_vm *vm = ctx;

	atomic_thread_fence(memory_order_seq_cst);
	for (unsigned i = 0; i < HC_VM_BACKENDS && vm->parts[i].ops; i++)
		if (vm->parts[i].ops->tables_written)
			vm->parts[i].ops->tables_written();
}

static const struct mm_ops stage2_ops = {
	.alloc_table = table_alloc,
	.free_table = table_free,
	.table_ptr = table_ptr,
	.invalidate = table_invalidate,
	.sync = table_sync,
};

static void lone_invalidate(void *ctx, gpa_t gpa, uint64_t size)
{
}

static void lone_sync(void *ctx, const s2_entry_t *entries, size_t bytes)
{
	atomic_thread_fence(memory_order_seq_cst);
}

const struct mm_ops hc_lone_tables = {
	.alloc_table = table_alloc,
	.free_table = table_free,
	.table_ptr = table_ptr,
	.invalidate = lone_invalidate,
	.sync = lone_sync,
};

/* What hardware walks counts, whichever of the backends comes first. NULL: none has tables here. */
static const struct s2_format *choose_format(const struct hc_vm *vm)
{
	const struct s2_format *format = NULL;

	for (unsigned i = 0; i < HC_VM_BACKENDS && vm->parts[i].ops; i++) {
		const struct hc_backend_ops *ops = vm->parts[i].ops;

		if (ops->s2_format && (!format || !ops->s2_any))
			format = ops->s2_format;
	}
	return format;
}

int hc_vm_init_memory(struct hc_vm *vm, unsigned gpa_bits)
{
	const struct s2_format *format = choose_format(vm);
	unsigned bits = vm->info.gpa_bits;

	if (gpa_bits && gpa_bits < bits)
		bits = gpa_bits;
	if (!format)
		return 0;
	int rc = s2_init(&vm->s2, format, &stage2_ops, vm, bits);

	return rc ? hc_error(rc, "vm %s: no stage-2 tables for %u-bit addresses", vm->name, bits)
	          : 0;
}

void hc_vm_use_small_pages(struct hc_vm *vm)
{
	if (vm->s2.format)
		(void)s2_limit_page(&vm->s2, S2_PAGE_4K);
}

/* Memory is below 2^this. */
static unsigned memory_bits(const struct hc_vm *vm)
{
	return vm->s2.format ? vm->s2.ipa_bits : vm->info.gpa_bits;
}

/* --- Slots --- */

/* All of it at once. Memory lock held. */
static int map_now(struct hc_vm *vm, const struct hc_slot *slot)
{
	unsigned attr = slot->flags & HC_SLOT_READONLY ? S2_R | S2_X : S2_RWX;

	if (slot->flags & HC_SLOT_RAW)
		hc_platform_clear(slot->host, slot->size);
	hc_mem_clean(vm, slot->host, slot->size);
	return vm->s2.format ? s2_map(&vm->s2, gpa_of(slot->gpa), hc_platform_to_hpa(slot->host),
	                              slot->size, attr | S2_WB)
	                     : 0;
}

static int map_slot(struct hc_vm *vm, struct hc_slot *slot)
{
	hc_lock(&vm->memory_lock);
	int rc = slot->flags & HC_SLOT_RAW ? hc_slot_defer(vm, slot) : -EOPNOTSUPP;

	if (rc == -EOPNOTSUPP)
		rc = map_now(vm, slot);
	hc_unlock(&vm->memory_lock);
	return rc;
}

static int check_range(const struct hc_vm *vm, uint64_t gpa, uint64_t size)
{
	uint64_t last = gpa + (size - 1);

	if (!size || (gpa | size) % HC_PAGE_SIZE || last < gpa || last >> memory_bits(vm))
		return hc_error(
			-EINVAL,
			"vm %s: memory of %#llx bytes at %#llx: wants whole pages below %#llx",
			vm->name, (unsigned long long)size, (unsigned long long)gpa,
			(unsigned long long)HC_BIT(memory_bits(vm)));
	return 0;
}

/* Of a range that check_range() passed; *at: where it belongs among the slots. */
static int find_room(const struct hc_vm *vm, uint64_t gpa, uint64_t size, unsigned *at)
{
	const struct hc_memory *m = &vm->memory;
	unsigned i = 0;

	while (i < m->count && m->slots[i].gpa < gpa)
		i++;
	*at = i;
	if ((i < m->count && m->slots[i].gpa < gpa + size) ||
	    (i && m->slots[i - 1].gpa + m->slots[i - 1].size > gpa))
		return hc_error(-EEXIST, "vm %s: memory at %#llx overlaps other memory", vm->name,
		                (unsigned long long)gpa);
	return 0;
}

int hc_vm_map_device(struct hc_vm *vm, gpa_t gpa, uint64_t size, hpa_t hpa)
{
	unsigned at;

	if (!vm->s2.format)
		return hc_error(-EOPNOTSUPP, "vm %s: a device at %#llx: the backend cannot map one",
		                vm->name, (unsigned long long)gpa.v);
	int refused = check_range(vm, gpa.v, size);

	if (!refused)
		refused = find_room(vm, gpa.v, size, &at);
	if (refused)
		return refused;
	hc_lock(&vm->memory_lock);
	int rc = s2_map(&vm->s2, gpa, hpa, size, S2_R | S2_W | S2_UC);

	hc_unlock(&vm->memory_lock);
	return rc ? hc_error(rc, "vm %s: a device at %#llx: cannot be mapped", vm->name,
	                     (unsigned long long)gpa.v)
	          : 0;
}

int hc_vm_add_slot(struct hc_vm *vm, gpa_t gpa, uint64_t size, void *host, uint32_t flags)
{
	struct hc_memory *m = &vm->memory;
	unsigned at;
	int rc = check_range(vm, gpa.v, size);

	if (!rc)
		rc = find_room(vm, gpa.v, size, &at);
	if (rc)
		return rc;
	if (atomic_load(&vm->dirty.on))
		return hc_error(-EBUSY, "vm %s: memory at %#llx: not while writes are logged",
		                vm->name, (unsigned long long)gpa.v);
	if (m->count == HC_MAX_SLOTS)
		return hc_error(-ENOSPC, "vm %s: more than %d pieces of memory", vm->name,
		                HC_MAX_SLOTS);
	struct hc_slot slot = { .gpa = gpa.v, .size = size, .host = host, .flags = flags };

	rc = map_slot(vm, &slot);
	if (rc)
		return hc_error(rc, "vm %s: cannot map %#llx bytes at %#llx", vm->name,
		                (unsigned long long)size, (unsigned long long)gpa.v);
	memmove(&m->slots[at + 1], &m->slots[at], (m->count - at) * sizeof(slot));
	m->slots[at] = slot;
	m->count++;
	m->total += size;
	return 0;
}

static unsigned order_of(uint64_t size)
{
	unsigned order = 0;

	while ((HC_PAGE_SIZE << (order + 1)) <= size)
		order++;
	return order;
}

/* The largest piece that the platform has, not larger than size and than gpa's alignment allows,
 * so that large pages fit both sides. */
static void *take_piece(uint64_t gpa, uint64_t size, unsigned *order)
{
	unsigned o = order_of(size);

	if (o > hc_platform_max_order())
		o = hc_platform_max_order();
	while (o > 0 && gpa & ((HC_PAGE_SIZE << o) - 1))
		o--;
	for (;; o--) {
		void *p = hc_platform_alloc_raw(o);

		*order = o;
		if (p || !o)
			return p;
	}
}

int hc_vm_add_ram(struct hc_vm *vm, gpa_t gpa, uint64_t size)
{
	uint64_t at = gpa.v, end = gpa.v + size;
	int rc = check_range(vm, gpa.v, size);

	while (!rc && at < end) {
		unsigned order;
		uint8_t *host = take_piece(at, end - at, &order);
		uint64_t piece = HC_PAGE_SIZE << order;

		if (!host)
			return hc_error(
				-ENOMEM,
				"vm %s: the machine has %llu MiB free for it, it wants %llu",
				vm->name, (unsigned long long)(vm->memory.total / HC_MIB),
				(unsigned long long)(size / HC_MIB));
		rc = hc_vm_add_slot(vm, gpa_of(at), piece, host, HC_SLOT_OWNED | HC_SLOT_RAW);
		if (rc)
			hc_platform_free_pages(host, order);
		at += piece;
	}
	return rc;
}

void hc_vm_free_memory(struct hc_vm *vm)
{
	struct hc_memory *m = &vm->memory;

	if (vm->s2.root.v)
		s2_destroy(&vm->s2);
	hc_dirty_free(vm);
	for (unsigned i = 0; i < m->count; i++) {
		hc_slot_release(&m->slots[i]);
		if (m->slots[i].flags & HC_SLOT_OWNED)
			hc_platform_free_pages(m->slots[i].host, order_of(m->slots[i].size));
	}
	*m = (struct hc_memory){ 0 };
}

/* --- Access --- */

struct hc_slot *hc_mem_slot(struct hc_memory *m, uint64_t gpa)
{
	unsigned low = 0, high = m->count;

	while (low < high) {
		unsigned mid = (low + high) / 2;
		struct hc_slot *s = &m->slots[mid];

		if (gpa - s->gpa < s->size)
			return s;
		if (gpa < s->gpa)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

static uint8_t *ptr_in(struct hc_vm *vm, struct hc_slot *s, uint64_t gpa, uint64_t len)
{
	if (len)
		hc_slot_touch(vm, s, gpa - s->gpa, len);
	return s->host + (gpa - s->gpa);
}

void *hc_mem_ptr(struct hc_vm *vm, gpa_t gpa, uint64_t len, bool want_write)
{
	struct hc_slot *s = hc_mem_slot(&vm->memory, gpa.v);

	if (!s || len > s->size - (gpa.v - s->gpa) || (want_write && s->flags & HC_SLOT_READONLY))
		return NULL;
	return ptr_in(vm, s, gpa.v, len);
}

/* The slot of the beginning of [gpa, gpa + len), of which *n bytes lie in it. NULL: there is none.
 */
static struct hc_slot *chunk(struct hc_vm *vm, uint64_t gpa, uint64_t len, bool want_write,
                             uint64_t *n)
{
	struct hc_slot *s = hc_mem_slot(&vm->memory, gpa);

	if (!s || (want_write && s->flags & HC_SLOT_READONLY))
		return NULL;
	*n = hc_min(len, s->size - (gpa - s->gpa));
	return s;
}

static bool all_there(struct hc_vm *vm, uint64_t gpa, uint64_t len, bool want_write)
{
	uint64_t n;

	for (uint64_t done = 0; done < len; done += n)
		if (!chunk(vm, gpa + done, len - done, want_write, &n))
			return false;
	return true;
}

int hc_mem_read(struct hc_vm *vm, gpa_t gpa, void *buf, uint64_t len)
{
	uint64_t n = 0;

	if (!all_there(vm, gpa.v, len, false))
		return -EFAULT;
	for (uint64_t done = 0; done < len; done += n) {
		struct hc_slot *s = chunk(vm, gpa.v + done, len - done, false, &n);

		memcpy((uint8_t *)buf + done, ptr_in(vm, s, gpa.v + done, n), n);
	}
	return 0;
}

static void tell_written(struct hc_vm *vm, uint64_t gpa, uint64_t len)
{
	for (unsigned i = 0; i < HC_VM_BACKENDS && vm->parts[i].ops; i++)
		if (vm->parts[i].ops->written)
			vm->parts[i].ops->written(vm, gpa_of(gpa), len);
}

void hc_mem_wrote(struct hc_vm *vm, gpa_t gpa, uint64_t len)
{
	hc_dirty_mark(vm, gpa, len);
	tell_written(vm, gpa.v, len);
}

/* A block that nobody has touched is not cleared first, and no CPU knows anything of it. */
static void write_piece(struct hc_vm *vm, struct hc_slot *s, uint64_t gpa, const uint8_t *data,
                        uint64_t len)
{
	uint64_t offset = gpa - s->gpa;

	if (len == HC_BLOCK_SIZE && s->raw && hc_slot_fill_block(vm, s, offset, data))
		return;
	memcpy(ptr_in(vm, s, gpa, len), data, len);
	tell_written(vm, gpa, len);
}

/* How much of it lies in one slot, and in one block where these matter. */
static uint64_t piece_of(const struct hc_slot *s, uint64_t gpa, uint64_t len)
{
	return s->raw ? hc_min(len, HC_BLOCK_SIZE - (gpa - s->gpa) % HC_BLOCK_SIZE) : len;
}

int hc_mem_write(struct hc_vm *vm, gpa_t gpa, const void *buf, uint64_t len)
{
	uint64_t n = 0;

	if (!all_there(vm, gpa.v, len, true))
		return -EFAULT;
	for (uint64_t done = 0; done < len; done += n) {
		struct hc_slot *s = chunk(vm, gpa.v + done, len - done, true, &n);

		n = piece_of(s, gpa.v + done, n);
		write_piece(vm, s, gpa.v + done, (const uint8_t *)buf + done, n);
	}
	hc_dirty_mark(vm, gpa, len);
	return 0;
}

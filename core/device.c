/* SPDX-License-Identifier: BSD-2-Clause */
#include "core/device.h"

#include <hypercore/freestanding.h>

#include "core/log.h"
#include "core/vm.h"

void hc_device_add(struct hc_vm *vm, struct hc_device *dev, const struct hc_device_ops *ops)
{
	dev->ops = ops;
	dev->vm = vm;
	dev->instance = 0;
	hc_list_for_each (e, &vm->devices) {
		const struct hc_device *other = HC_CONTAINER_OF(e, struct hc_device, link);

		if (other->ops == ops)
			dev->instance++;
	}
	hc_list_append(&vm->devices, &dev->link);
}

void hc_devices_reset(struct hc_vm *vm)
{
	hc_dev_lock(vm);
	hc_list_for_each (e, &vm->devices) {
		struct hc_device *dev = HC_CONTAINER_OF(e, struct hc_device, link);

		if (dev->ops->reset)
			dev->ops->reset(dev);
	}
	hc_dev_unlock(vm);
}

/*
 * A saved object: name length (1) and name, version (2), field count (2), then per field: name
 * length (1) and name, element size (2), count (2), the elements. Integers are little-endian, and
 * so are all hosts that the project runs on.
 */
struct cursor {
	uint8_t *out;
	const uint8_t *in;
	size_t size, at;
	bool bad;
};

static void put_bytes(struct cursor *c, const void *data, size_t n)
{
	if (c->out && c->at + n <= c->size)
		memcpy(c->out + c->at, data, n);
	c->at += n;
}

static void put_u16(struct cursor *c, uint16_t v)
{
	uint8_t b[2] = { (uint8_t)v, (uint8_t)(v >> 8) };

	put_bytes(c, b, 2);
}

static void put_name(struct cursor *c, const char *name)
{
	uint8_t len = (uint8_t)strnlen(name, 255);

	put_bytes(c, &len, 1);
	put_bytes(c, name, len);
}

size_t hc_state_save(const struct hc_state_desc *desc, const void *obj, void *buf, size_t size)
{
	struct cursor c = { .out = buf, .size = size };

	put_name(&c, desc->name);
	put_u16(&c, desc->version);
	put_u16(&c, (uint16_t)desc->field_count);
	for (unsigned i = 0; i < desc->field_count; i++) {
		const struct hc_field *f = &desc->fields[i];

		put_name(&c, f->name);
		put_u16(&c, f->size);
		put_u16(&c, f->count);
		put_bytes(&c, (const uint8_t *)obj + f->offset, (size_t)f->size * f->count);
	}
	return c.at;
}

static const uint8_t *get_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p = c->in + c->at;

	if (c->bad || n > c->size - c->at) {
		c->bad = true;
		return NULL;
	}
	c->at += n;
	return p;
}

static uint16_t get_u16(struct cursor *c)
{
	const uint8_t *p = get_bytes(c, 2);

	return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

/* A name of the data, not terminated. */
static const char *get_name(struct cursor *c, size_t *len)
{
	const uint8_t *p = get_bytes(c, 1);

	*len = p ? *p : 0;
	return (const char *)get_bytes(c, *len);
}

static bool same_name(const char *have, size_t len, const char *want)
{
	return strlen(want) == len && !memcmp(have, want, len);
}

static const struct hc_field *find_field(const struct hc_state_desc *desc, const char *name,
                                         size_t len)
{
	for (unsigned i = 0; i < desc->field_count; i++)
		if (same_name(name, len, desc->fields[i].name))
			return &desc->fields[i];
	return NULL;
}

/* One pass over the data. obj NULL: only checks. Returns a mask-free count of fields known. */
static int load_fields(const struct hc_state_desc *desc, struct cursor *c, unsigned count,
                       uint8_t *obj)
{
	unsigned known = 0;

	for (unsigned i = 0; i < count; i++) {
		size_t len;
		const char *name = get_name(c, &len);
		const struct hc_field *f = name ? find_field(desc, name, len) : NULL;
		uint16_t size = get_u16(c), elements = get_u16(c);
		const uint8_t *data = get_bytes(c, (size_t)size * elements);

		if (!f || !data || f->size != size || f->count != elements)
			return -EPROTO;
		if (obj)
			memcpy(obj + f->offset, data, (size_t)size * elements);
		known++;
	}
	return (int)known;
}

static unsigned fields_of_version(const struct hc_state_desc *desc, uint16_t version)
{
	unsigned n = 0;

	for (unsigned i = 0; i < desc->field_count; i++)
		n += desc->fields[i].since <= version;
	return n;
}

long hc_state_load(const struct hc_state_desc *desc, void *obj, const void *buf, size_t size)
{
	struct cursor c = { .in = buf, .size = size };
	size_t len;
	const char *name = get_name(&c, &len);
	uint16_t version = get_u16(&c), count = get_u16(&c);

	if (c.bad || !name || !same_name(name, len, desc->name))
		return hc_error(-EPROTO, "state of %s: the data is of something else", desc->name);
	if (version > desc->version)
		return hc_error(-EPROTO, "state of %s: version %u, newer than %u", desc->name,
		                version, desc->version);
	struct cursor check = c;

	if (load_fields(desc, &check, count, NULL) != (int)fields_of_version(desc, version))
		return hc_error(-EPROTO, "state of %s: fields do not match version %u", desc->name,
		                version);
	load_fields(desc, &c, count, obj);
	if (desc->post_load && desc->post_load(obj))
		return hc_error(-EPROTO, "state of %s: values that the device cannot hold",
		                desc->name);
	return (long)c.at;
}

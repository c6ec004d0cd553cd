/* image/elffile.c - reading ELF by its section and program headers. Every offset is checked against
 * the file before it is used: packages are trusted, a truncated download on a full disk is not. */
#include "image/elffile.h"

#include <elf.h>
#include <stdint.h>
#include <string.h>

#include <ireko/error.h>

#define PVH_NOTE_NAME "Xen"
#define PVH_NOTE_TYPE 18 /* XEN_ELFNOTE_PHYS32_ENTRY */

#define SIGNATURE_MARK "~Module signature appended~\n"
#define SIGNATURE_INFO                                                                             \
    12 /* struct module_signature; its last 4 bytes are the length, big endian                     \
        */

typedef struct {
    const char *data;
    size_t len;
} Bytes;

/* LEN bytes at OFFSET of ELF, or an empty piece. */
static Bytes
piece(Bytes elf, uint64_t offset, uint64_t len)
{
    if (offset > elf.len || len > elf.len - offset)
        return (Bytes){NULL, 0};
    return (Bytes){elf.data + offset, (size_t)len};
}

static bool
read_header(Bytes elf, Elf64_Ehdr *ret_header)
{
    if (elf.len < sizeof *ret_header)
        return false;
    memcpy(ret_header, elf.data, sizeof *ret_header);
    return memcmp(ret_header->e_ident, ELFMAG, SELFMAG) == 0 &&
           ret_header->e_ident[EI_CLASS] == ELFCLASS64 && ret_header->e_machine == EM_X86_64;
}

static bool
read_section(Bytes elf, const Elf64_Ehdr *header, unsigned index, Elf64_Shdr *ret_section)
{
    Bytes table = piece(elf, header->e_shoff, (uint64_t)header->e_shnum * sizeof *ret_section);
    if (index >= header->e_shnum || table.data == NULL)
        return false;
    memcpy(ret_section, table.data + (size_t)index * sizeof *ret_section, sizeof *ret_section);
    return true;
}

static const char *
text_at(Bytes texts, uint64_t offset)
{
    if (offset >= texts.len || memchr(texts.data + offset, '\0', texts.len - offset) == NULL)
        return NULL;
    return texts.data + offset;
}

static bool
find_section(Bytes elf, const char *name, Elf64_Shdr *ret_section)
{
    Elf64_Ehdr header;
    Elf64_Shdr names;
    if (!read_header(elf, &header) || !read_section(elf, &header, header.e_shstrndx, &names))
        return false;

    Bytes texts = piece(elf, names.sh_offset, names.sh_size);
    for (unsigned i = 0; i < header.e_shnum; i++) {
        Elf64_Shdr section;
        if (!read_section(elf, &header, i, &section))
            return false;
        const char *text = text_at(texts, section.sh_name);
        if (text != NULL && strcmp(text, name) == 0) {
            *ret_section = section;
            return true;
        }
    }
    return false;
}

static void
add_needed(Bytes elf, const Elf64_Ehdr *header, GPtrArray *needed)
{
    Elf64_Shdr dynamic, strings;
    if (!find_section(elf, ".dynamic", &dynamic) ||
        !read_section(elf, header, dynamic.sh_link, &strings))
        return; /* static */

    Bytes entries = piece(elf, dynamic.sh_offset, dynamic.sh_size);
    Bytes texts = piece(elf, strings.sh_offset, strings.sh_size);
    for (size_t at = 0; at + sizeof(Elf64_Dyn) <= entries.len; at += sizeof(Elf64_Dyn)) {
        Elf64_Dyn entry;
        memcpy(&entry, entries.data + at, sizeof entry);
        const char *name = entry.d_tag == DT_NEEDED ? text_at(texts, entry.d_un.d_val) : NULL;
        if (name != NULL)
            g_ptr_array_add(needed, g_strdup(name));
    }
}

GPtrArray *
image_elf_needed(const char *path, GError **error)
{
    g_autoptr(GError) cause = NULL;
    g_autoptr(GMappedFile) file = g_mapped_file_new(path, FALSE, &cause);
    if (file == NULL) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_IO, "cannot read '%s': %s", path,
                    cause->message);
        return NULL;
    }

    Bytes elf = {g_mapped_file_get_contents(file), g_mapped_file_get_length(file)};
    Elf64_Ehdr header;
    if (!read_header(elf, &header)) {
        g_set_error(error, IREKO_ERROR, IREKO_ERROR_SYNTAX, "'%s' is no 64-bit x86 program", path);
        return NULL;
    }
    g_autoptr(GPtrArray) needed = g_ptr_array_new_with_free_func(g_free);
    add_needed(elf, &header, needed);
    return g_steal_pointer(&needed);
}

GPtrArray *
image_elf_modinfo(const void *data, size_t len, const char *key)
{
    GPtrArray *values = g_ptr_array_new_with_free_func(g_free);
    Elf64_Shdr section;
    Bytes elf = {data, len};
    if (!find_section(elf, ".modinfo", &section))
        return values;

    Bytes info = piece(elf, section.sh_offset, section.sh_size);
    size_t key_len = strlen(key);
    for (size_t at = 0; at < info.len;) {
        const char *text = text_at(info, at);
        if (text == NULL)
            break;
        if (strncmp(text, key, key_len) == 0 && text[key_len] == '=')
            g_ptr_array_add(values, g_strdup(text + key_len + 1));
        at += strlen(text) + 1;
    }
    return values;
}

static bool
has_pvh_note(Bytes notes)
{
    for (size_t at = 0; at + sizeof(Elf64_Nhdr) <= notes.len;) {
        Elf64_Nhdr note;
        memcpy(&note, notes.data + at, sizeof note);
        Bytes name = piece(notes, at + sizeof note, note.n_namesz);
        if (note.n_type == PVH_NOTE_TYPE && name.len == sizeof PVH_NOTE_NAME &&
            memcmp(name.data, PVH_NOTE_NAME, name.len) == 0)
            return true;
        at += sizeof note + (((size_t)note.n_namesz + 3) & ~(size_t)3) +
              (((size_t)note.n_descsz + 3) & ~(size_t)3);
    }
    return false;
}

bool
image_elf_has_pvh(const void *data, size_t len)
{
    Bytes elf = {data, len};
    Elf64_Ehdr header;
    if (!read_header(elf, &header))
        return false;

    Bytes table = piece(elf, header.e_phoff, (uint64_t)header.e_phnum * sizeof(Elf64_Phdr));
    for (size_t at = 0; at < table.len; at += sizeof(Elf64_Phdr)) {
        Elf64_Phdr segment;
        memcpy(&segment, table.data + at, sizeof segment);
        if (segment.p_type == PT_NOTE &&
            has_pvh_note(piece(elf, segment.p_offset, segment.p_filesz)))
            return true;
    }
    return false;
}

size_t
image_elf_unsigned_len(const void *data, size_t len)
{
    const unsigned char *bytes = data;
    size_t mark = strlen(SIGNATURE_MARK);
    if (len < mark + SIGNATURE_INFO || memcmp(bytes + len - mark, SIGNATURE_MARK, mark) != 0)
        return len;

    const unsigned char *size = bytes + len - mark - 4;
    size_t signature =
        (size_t)size[0] << 24 | (size_t)size[1] << 16 | (size_t)size[2] << 8 | size[3];
    size_t tail = mark + SIGNATURE_INFO + signature;
    return tail < len ? len - tail : len;
}

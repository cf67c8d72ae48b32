// SPDX-License-Identifier: Apache-2.0
// Headers of ustar, and zlib around them.
#include "node/cli/tar_gz.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include <zlib.h>

namespace trainyard::node::cli {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kNameMax = 100;
constexpr uint64_t kSizeLimit = 1ull << 33;  ///< eleven octal digits
constexpr int kGzipWindow = 15 + 16;         ///< the largest window; 16 more: a gzip header

/// Source: IEEE Std 1003.1, pax, "ustar Interchange Format".
struct Header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100],
        magic[6], version[2], owner[32], group[32], major[8], minor[8], prefix[155], padding[12];
};
static_assert(sizeof(Header) == kBlock);

Header header_of(const ArchiveFile& file, uint64_t modified_s) {
    Header h{};
    std::memcpy(h.name, file.name.data(), file.name.size());
    std::snprintf(h.mode, sizeof h.mode, "%07o", 0600u);
    std::snprintf(h.uid, sizeof h.uid, "%07o", 0u);
    std::snprintf(h.gid, sizeof h.gid, "%07o", 0u);
    std::snprintf(h.size, sizeof h.size, "%011llo",
                  static_cast<unsigned long long>(file.content.size()));
    std::snprintf(h.mtime, sizeof h.mtime, "%011llo",
                  static_cast<unsigned long long>(modified_s % kSizeLimit));
    h.type = '0';
    std::memcpy(h.magic, "ustar", sizeof h.magic);
    std::memcpy(h.version, "00", sizeof h.version);
    std::memset(h.checksum, ' ', sizeof h.checksum);
    std::array<unsigned char, kBlock> bytes{};
    std::memcpy(bytes.data(), &h, kBlock);
    unsigned sum = 0;
    for (const unsigned char byte : bytes) sum += byte;
    std::snprintf(h.checksum, sizeof h.checksum - 1, "%06o", sum);
    return h;
}

Result<Bytes, std::string> make_tar(const std::vector<ArchiveFile>& files, uint64_t modified_s) {
    Bytes out;
    for (const ArchiveFile& file : files) {
        if (file.name.size() > kNameMax) return unexpected(file.name + ": too long a name");
        if (file.content.size() >= kSizeLimit) return unexpected(file.name + ": too large");
        std::array<uint8_t, kBlock> head{};
        const Header header = header_of(file, modified_s);
        std::memcpy(head.data(), &header, kBlock);
        append(out, head);
        append(out, as_bytes(file.content));
        out.resize((out.size() + kBlock - 1) / kBlock * kBlock);
    }
    out.resize(out.size() + 2 * kBlock);
    return out;
}

Result<Bytes, std::string> gzip(BytesView data) {
    z_stream stream{};
    if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, kGzipWindow, 8,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return unexpected(std::string("zlib has no memory"));
    Bytes out(deflateBound(&stream, static_cast<uLong>(data.size())));
    stream.next_out = out.data();
    stream.avail_out = static_cast<uInt>(out.size());
    int result = Z_OK;
    // zlib counts in 32 bits, so larger inputs go in pieces.
    while (result == Z_OK) {
        const auto piece = data.first(std::min<size_t>(data.size(), 1u << 30));
        data = data.subspan(piece.size());
        stream.next_in = const_cast<Bytef*>(piece.data());
        stream.avail_in = static_cast<uInt>(piece.size());
        result = deflate(&stream, data.empty() ? Z_FINISH : Z_NO_FLUSH);
    }
    out.resize(stream.total_out);
    deflateEnd(&stream);
    if (result != Z_STREAM_END) return unexpected(std::string("zlib does not compress"));
    return out;
}

}  // namespace

Result<Bytes, std::string> make_tar_gz(const std::vector<ArchiveFile>& files, uint64_t modified_s) {
    const auto tar = make_tar(files, modified_s);
    if (!tar) return unexpected(tar.error());
    return gzip(*tar);
}

}  // namespace trainyard::node::cli

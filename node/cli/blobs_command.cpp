// SPDX-License-Identifier: Apache-2.0
// `trainyard data blobs` and `data release`: what a node keeps, and what it need not keep.
#include <boost/json.hpp>

#include "node/cli/ask.hpp"
#include "node/cli/commands.hpp"
#include "node/wallet/json_util.hpp"

namespace trainyard::node::cli {
namespace {

namespace json = boost::json;
using wallet::member;
using wallet::quantity64;

struct Row {
    std::string id;
    uint64_t size_bytes = 0, owners = 0;
    bool is_kept = false;
};

std::optional<Row> read_row(const json::value& blob) {
    const auto id = wallet::text_member(blob, "id");
    const auto size = quantity64(member(blob, "size")), owners = quantity64(member(blob, "owners"));
    const auto* kept = member(blob, "kept");
    if (!id || !size || !owners || kept == nullptr || !kept->is_bool()) return std::nullopt;
    return Row{*id, *size, *owners, kept->get_bool()};
}

std::string line_of(const Row& row) {
    const std::string why = !row.is_kept ? dim("may make room")
                            : row.owners == 0
                                ? "kept for good"
                                : "kept for " + std::to_string(row.owners) + " of its owners";
    return row.id + "  " + std::to_string(row.size_bytes) + " bytes  " + why;
}

}  // namespace

int run_data_blobs(const Output& out, const BlobsArgs& args) {
    std::string after = to_hex0x(Hash{}.bytes);
    uint64_t count = 0, bytes = 0, kept_bytes = 0;
    for (;;) {  // page by page
        const auto page = ask(args.rpc, "admin_blobs", {after});
        if (!page) return out.fail(page.error());
        if (!page->is_array()) return out.fail("admin_blobs: the answer is no list");
        if (page->get_array().empty()) break;
        for (const auto& blob : page->get_array()) {
            const auto row = read_row(blob);
            if (!row || row->id <= after) return out.fail("admin_blobs: the answer is no list");
            after = row->id;
            ++count;
            bytes += row->size_bytes;
            kept_bytes += row->is_kept ? row->size_bytes : 0;
            if (row->is_kept || args.all)
                out.line(out.json ? json::serialize(blob) : line_of(*row));
        }
    }
    out.say(std::to_string(count) + " blobs of " + std::to_string(bytes) + " bytes, of which " +
            std::to_string(kept_bytes) + " make no room");
    return kOk;
}

int run_data_release(const Output& out, const BlobsArgs& args) {
    for (const auto& id : args.ids) {
        const auto done = ask(args.rpc, "admin_releaseBlob", {id});
        if (!done) return out.fail(id + ": " + done.error());
        out.line(out.json ? json::serialize(json::object{{"id", id}, {"released", true}})
                          : id + "  may make room");
    }
    return kOk;
}

}  // namespace trainyard::node::cli

// SPDX-License-Identifier: Apache-2.0
// Whatever a peer sends: frames, envelopes, payloads and the messages of the vote machine. What
// decodes encodes to the same bytes.
#include "consensus/bft/messages.hpp"
#include "consensus/light/light.hpp"
#include "core/assert.hpp"
#include "node/p2p/address_book.hpp"
#include "node/p2p/ban_list.hpp"
#include "node/p2p/frame.hpp"
#include "node/p2p/messages.hpp"
#include "node/p2p/routes.hpp"

namespace trainyard {
namespace {

void same(const Bytes& again, BytesView data) {
    ASSERT(as_text(again) == as_text(data));
}

template <class Decoded, class Encode>
void check(const Decoded& decoded, Encode encode, BytesView data) {
    if (decoded) same(encode(*decoded), data);
}

void fuzz_payloads(BytesView data) {
    check(p2p::decode_hello(data), p2p::encode_hello, data);
    check(p2p::decode_goodbye(data), p2p::encode_goodbye, data);
    check(p2p::decode_status(data), p2p::encode_status, data);
    check(p2p::decode_get_block(data), p2p::encode_get_block, data);
    check(p2p::decode_get_blocks(data), p2p::encode_get_blocks, data);
    check(p2p::decode_blocks(data), p2p::encode_blocks, data);
    check(p2p::decode_snapshots(data), p2p::encode_snapshots, data);
    check(p2p::decode_get_boundaries(data), p2p::encode_get_boundaries, data);
    check(p2p::decode_boundaries(data), p2p::encode_boundaries, data);
    check(p2p::decode_get_snapshot_part(data), p2p::encode_get_snapshot_part, data);
    check(p2p::decode_blob_request(data), p2p::encode_blob_request, data);
    check(p2p::decode_has_blob(data), p2p::encode_has_blob, data);
    check(p2p::decode_blob_manifest(data), p2p::encode_blob_manifest, data);
    check(consensus::light::decode_boundary(data), consensus::light::encode_boundary, data);
    check(p2p::decode_told(data), p2p::encode_told, data);
    check(p2p::decode_permit(data), p2p::encode_permit, data);
    for (const auto carrier :
         {p2p::Kind::routed_vote, p2p::Kind::routed_proposal, p2p::Kind::routed_repair})
        check(p2p::decode_routed(carrier, data), p2p::encode_routed, data);
    if (const auto book = p2p::AddressBook::decode(data)) same(book->encode(), data);
    check(consensus::bft::decode_message(data), consensus::bft::encode_message, data);
    check(consensus::bft::decode_certificate(data), consensus::bft::encode_certificate, data);
}

/// A frame as a session reads it: the header first, then as many bytes as it says.
void fuzz_frame(BytesView data) {
    if (data.size() < p2p::kFrameHeaderBytes) return;
    std::array<uint8_t, p2p::kFrameHeaderBytes> head{};
    std::copy_n(data.begin(), head.size(), head.begin());
    const auto header = p2p::decode_header(head);
    if (!header) return;
    ASSERT(header->envelope_bytes <= p2p::kFrameBytesMax);
    const BytesView rest = data.subspan(head.size());
    if (rest.size() != header->envelope_bytes) return;
    const auto message = p2p::decode_envelope(*header->row, rest);
    if (!message) return;
    ASSERT(message->payload.size() <= header->row->payload_max);
    fuzz_payloads(message->payload);
}

void fuzz_ban_list(BytesView data) {
    const auto list = p2p::read_ban_list(as_text(data));
    ASSERT(list.bans.size() <= p2p::kBansMax);
    const auto again = p2p::read_ban_list(p2p::write_ban_list(list.bans));
    ASSERT(again.lines_skipped == 0 && again.bans.size() == list.bans.size());
}

}  // namespace
}  // namespace trainyard

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    using namespace trainyard;
    fuzz_payloads({data, size});
    fuzz_frame({data, size});
    fuzz_ban_list({data, size});
    return 0;
}

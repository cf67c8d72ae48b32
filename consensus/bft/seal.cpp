// SPDX-License-Identifier: Apache-2.0
// Encoding of the consensus seal.
#include "consensus/bft/seal.hpp"

namespace trainyard::consensus::bft {

Bytes encode_seal(const Seal& seal) {
    rlp::Writer writer;
    writer.begin_list();
    writer.number(seal.epoch.value).number(seal.view.value).number(seal.parent_view.value);
    writer.fixed(seal.vrf_proof);
    writer.end_list();
    return writer.take();
}

Result<Seal, rlp::Error> decode_seal(BytesView extra_data) {
    if (extra_data.size() > kSealSizeMax) return unexpected(rlp::Error::too_long);
    rlp::Reader outer(extra_data);
    auto list = outer.list();
    if (!list) return unexpected(list.error());
    if (auto end = outer.finish(); !end) return unexpected(end.error());
    Seal seal;
    for (uint64_t* field : {&seal.epoch.value, &seal.view.value, &seal.parent_view.value}) {
        const auto number = list->number();
        if (!number) return unexpected(number.error());
        *field = *number;
    }
    const auto proof = list->fixed<vrf::Proof>();
    if (!proof) return unexpected(proof.error());
    seal.vrf_proof = *proof;
    if (auto end = list->finish(); !end) return unexpected(end.error());
    return seal;
}

}  // namespace trainyard::consensus::bft

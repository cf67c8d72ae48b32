// SPDX-License-Identifier: Apache-2.0
// The file is rlp([genesis hash, [signed transaction, …]]), oldest version first.
#include "node/wallet/outbox.hpp"

#include "core/rlp.hpp"
#include "node/wallet/files.hpp"

namespace trainyard::node::wallet {
namespace {

constexpr size_t kFileBytesMax = 64u << 20;

bool are_versions(const std::vector<Tx>& all, const Address& who) {
    for (const Tx& tx : all) {
        const auto sender = recover_sender(tx);
        if (!sender || *sender != who || tx.nonce != all.front().nonce) return false;
    }
    return true;
}

}  // namespace

void Outbox::load(const Hash& genesis, const Address& who) {
    genesis_ = genesis;
    if (path_.empty()) return;
    const auto content = read_file(path_, kFileBytesMax);
    if (!content) return;
    std::vector<Tx> found;
    Hash chain;
    rlp::Fields outer(*content);
    outer.list([&](rlp::Fields& in) {
        chain = in.fixed<Hash>();
        in.each([&](rlp::Fields& item) {
            auto tx = decode_tx(item.view());
            if (!tx) return item.fail(rlp::Error::bad_value);
            found.push_back(std::move(*tx));
        });
    });
    if (outer.finish() && chain == genesis && are_versions(found, who))
        versions_ = std::move(found);
}

Result<Done, WalletError> Outbox::write() const {
    if (path_.empty()) return Done{};
    rlp::Writer out;
    out.begin_list().fixed(genesis_).begin_list();
    for (const Tx& tx : versions_) out.bytes(encode_tx(tx));
    return write_file(path_, out.end_list().end_list().take());
}

Result<Done, WalletError> Outbox::add(const Tx& version) {
    versions_.push_back(version);
    auto written = write();
    if (!written) versions_.pop_back();
    return written;
}

/// A version too many on disk is sent again at worst.
void Outbox::drop_newest() {
    versions_.pop_back();
    if (versions_.empty()) return clear();
    (void)write();
}

void Outbox::clear() {
    versions_.clear();
    if (!path_.empty()) remove_file(path_);
}

}  // namespace trainyard::node::wallet

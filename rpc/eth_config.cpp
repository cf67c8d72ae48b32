// SPDX-License-Identifier: Apache-2.0
// eth_config: the rules of the chain now and next, so that operators can compare them (EIP-7910).
#include "rpc/method.hpp"

namespace trainyard::rpc {

namespace {

void write_addresses(JsonWriter& out,
                     const std::vector<std::pair<std::string, Address>>& addresses) {
    out.begin_object();
    for (const auto& [name, address] : addresses) out.key(name).data(address);
    out.end_object();
}

void write_fork(JsonWriter& out, const ForkConfig& fork, uint64_t chain_id) {
    out.begin_object().key("activationTime").number(fork.activation_time);
    out.key("blobSchedule").begin_object().key("target").number(fork.blob_target);
    out.key("max").number(fork.blob_max);
    out.key("baseFeeUpdateFraction").number(fork.blob_update_fraction).end_object();
    out.key("chainId").quantity(chain_id).key("forkId").data(fork.fork_id);
    out.key("precompiles");
    write_addresses(out, fork.precompiles);
    out.key("systemContracts");
    write_addresses(out, fork.system_contracts);
    out.end_object();
}

Outcome config(Call& call) {
    const auto forks = call.backend.fork_configs();
    const uint64_t chain_id = call.backend.chain_id();
    call.out.begin_object().key("current");
    write_fork(call.out, forks.current, chain_id);
    call.out.key("next");
    forks.next ? write_fork(call.out, *forks.next, chain_id) : void(call.out.null());
    call.out.key("last");
    forks.last ? write_fork(call.out, *forks.last, chain_id) : void(call.out.null());
    call.out.end_object();
    return Done{};
}

constexpr Method kMethods[] = {
    {"eth_config", config, {}, Shape::object, false, "the chain's rules now and next (EIP-7910)"},
};

}  // namespace

std::span<const Method> config_methods() {
    return kMethods;
}

}  // namespace trainyard::rpc

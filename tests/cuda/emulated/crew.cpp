// SPDX-License-Identifier: Apache-2.0
// Workers with a device each share the micro-batches of a step and reach the bits of one, through
// the host's memory and from device to device.
#include "training/crew.hpp"

#include <algorithm>
#include <functional>
#include <optional>
#include <thread>

#include <gtest/gtest.h>

#include "cuda/cuda_backend.hpp"
#include "cuda/linked_crew.hpp"
#include "flipped_bit.hpp"
#include "streams.hpp"
#include "tests/training/thread_crew.hpp"
#include "training/plan.hpp"
#include "training_run.hpp"

namespace {

using namespace trainyard;
using namespace trainyard::training;
using tests::Meeting;
using tests::ThreadCrew;

constexpr uint32_t kSteps = 2;
constexpr cuda::NcclResult kSystemError = 2, kInvalidArgument = 4, kInvalidUsage = 5;

/// What the functions below fail at.
struct NcclFaults {
    bool no_id = false;
    int start_of = -1;               ///< the worker that does not get connected
    size_t shares_after = SIZE_MAX;  ///< messages to all that arrive
    bool changes_messages = false;
};
NcclFaults nccl_faults;

/// The calling thread's worker, whose device it links.
thread_local ThreadCrew* worker = nullptr;

/// A worker's end: NCCL among the threads of a meeting, at once instead of on a stream.
struct End {
    int device = 0;
    void* stream = nullptr;
    size_t shared = 0;
};

cuda::NcclResult get_unique_id(cuda::NcclId* id) {
    if (nccl_faults.no_id) return kSystemError;
    for (size_t i = 0; i < id->bytes.size(); ++i) id->bytes[i] = static_cast<char>(i * 3);
    return cuda::kNcclSuccess;
}

cuda::NcclResult comm_init_rank(cuda::NcclComm* comm, int size, cuda::NcclId id, int rank) {
    cuda::NcclId due;
    static_cast<void>(get_unique_id(&due));
    auto& members = worker->meeting().members;
    if (id.bytes != due.bytes || static_cast<size_t>(size) != members.size() ||
        static_cast<uint32_t>(rank) != worker->rank())
        return kInvalidArgument;
    members[worker->rank()] = emulated::current_device();
    worker->meeting().news.notify_all();
    worker->wait_for([&] { return std::count(members.begin(), members.end(), -1) == 0; });
    if (std::count(members.begin(), members.end(), emulated::current_device()) != 1)
        return kInvalidUsage;
    if (nccl_faults.start_of == rank) return kSystemError;
    *comm = new End{emulated::current_device()};
    return cuda::kNcclSuccess;
}

cuda::NcclResult comm_destroy(cuda::NcclComm comm) {
    delete static_cast<End*>(comm);
    ++worker->meeting().destroyed;
    return cuda::kNcclSuccess;
}

cuda::NcclResult comm_abort(cuda::NcclComm comm) {
    delete static_cast<End*>(comm);
    ++worker->meeting().aborted;
    return cuda::kNcclSuccess;
}

/// True for a message within one allocation on the one stream of the end's device, whose work so
/// far is then done.
bool is_message(const void* x, size_t count, int type, cuda::NcclComm comm, void* stream) {
    auto* const end = static_cast<End*>(comm);
    if (end->stream == nullptr) end->stream = stream;
    if (stream != nullptr) static_cast<void>(static_cast<emulated::Stream*>(stream)->finish());
    return stream != nullptr && end->stream == stream && type == cuda::kNcclFloat &&
           end->device == emulated::current_device() &&
           emulated::is_allocated(x, count * sizeof(float));
}

cuda::NcclResult send(const void* x, size_t count, int type, int to, cuda::NcclComm comm,
                      void* stream) {
    if (to != 0 || !is_message(x, count, type, comm, stream)) return kInvalidArgument;
    const emulated::DeviceAccess access;
    worker->send(worker->meeting().devices, {static_cast<const float*>(x), count});
    return cuda::kNcclSuccess;
}

/// Gets a message on the host first, because others use the device while this worker waits.
template <class Get>
void put(void* to, size_t count, const Get& get) {
    Floats message(count);
    get(message);
    const emulated::DeviceAccess access;
    std::copy(message.begin(), message.end(), static_cast<float*>(to));
}

cuda::NcclResult recv(void* x, size_t count, int type, int from, cuda::NcclComm comm,
                      void* stream) {
    if (!is_message(x, count, type, comm, stream)) return kInvalidArgument;
    put(x, count, [&](Floats& message) {
        worker->receive(worker->meeting().devices, message, static_cast<uint32_t>(from));
        if (nccl_faults.changes_messages) message[0] += 1;
    });
    return cuda::kNcclSuccess;
}

cuda::NcclResult broadcast(const void* from, void* to, size_t count, int type, int root,
                           cuda::NcclComm comm, void* stream) {
    auto* const end = static_cast<End*>(comm);
    if (end->shared++ == nccl_faults.shares_after) return kSystemError;
    if (root != 0 || from != to || !is_message(to, count, type, comm, stream))
        return kInvalidArgument;
    put(to, count, [&](Floats& message) {
        if (worker->rank() == 0) {
            const emulated::DeviceAccess access;
            std::copy_n(static_cast<const float*>(from), count, message.begin());
        }
        worker->share(worker->meeting().devices, message);
    });
    return cuda::kNcclSuccess;
}

const char* get_error_string(cuda::NcclResult) {
    return "a system error";
}

Result<cuda::Nccl, std::string> in_process() {
    return cuda::Nccl{get_unique_id, comm_init_rank, comm_destroy, comm_abort,
                      send,          recv,           broadcast,    get_error_string};
}

/// Runs `body(rank, crew)` for each worker in a thread of its own.
template <class Body>
void run_workers(Meeting& meeting, const Body& body) {
    std::vector<std::thread> threads;
    for (uint32_t rank = 0; rank < meeting.parts.size(); ++rank)
        threads.emplace_back([&, rank] {
            ThreadCrew crew(meeting, rank);
            worker = &crew;
            body(rank, crew);
        });
    for (std::thread& thread : threads) thread.join();
}

Program program_of(uint32_t micro_batches) {
    return tests::make_run({.layers = 1,
                            .width = 16,
                            .steps = kSteps,
                            .micro_batches = micro_batches,
                            .sequences = 1});
}

class EmulatedCrew : public testing::Test {
protected:
    void SetUp() override {
        emulated::set_faults({});
        nccl_faults = {};
    }
    void TearDown() override { emulated::set_devices(1); }

    /// Workers train on linked devices, or through the host where these cannot be linked; all get
    /// the root of one worker. Returns why devices are not linked, empty if they are.
    std::string train(Meeting& meeting, uint32_t micro_batches, const auto& load) {
        const auto program = program_of(micro_batches);
        const auto reference = make_reference_backend();
        const Hash due = tests::state_root_on(program, *reference, data_, kSteps);
        const size_t workers = meeting.parts.size();
        std::vector<std::string> reasons(workers);
        run_workers(meeting, [&](uint32_t rank, Crew& crew) {
            const auto backend =
                cuda::make_cuda_backend(static_cast<int>(rank) % emulated::devices());
            const auto linked = cuda::link_devices(crew, *backend, load);
            if (!linked) reasons[rank] = linked.error();
            EXPECT_EQ(tests::state_root_on(program, *backend, data_, kSteps,
                                           linked ? linked->get() : &crew),
                      due)
                << rank;
        });
        EXPECT_EQ(reasons, std::vector<std::string>(workers, reasons[0])) << "all say the same";
        const bool by_host = !meeting.hosts.shared.empty();
        EXPECT_NE(by_host, reasons[0].empty());
        return reasons[0];
    }

    /// What comes of a worker's steps; its memory may change before each.
    std::optional<EngineError> train_state(Engine& engine, LiveState& live, Crew& crew,
                                           const std::function<void(uint32_t)>& before_step) {
        for (uint32_t i = 0; i < kSteps; ++i) {
            before_step(i);
            auto step = run_step(engine, live, data_, &crew);
            if (!step) return step.error();
            engine.recycle(std::move(step->gradients));
        }
        return std::nullopt;
    }

    Bytes data_ = tests::make_text(tests::kTextBytes);
};

TEST_F(EmulatedCrew, reaches_the_root_of_one_worker_through_the_host) {
    // Two micro-batches are a node of the tree, three are not.
    for (const uint32_t micro_batches : {4U, 6U}) {
        const auto program = program_of(micro_batches);
        Meeting meeting(2);
        std::vector<Hash> roots(2);
        run_workers(meeting, [&](uint32_t rank, Crew& crew) {
            const auto backend = cuda::make_cuda_backend(0);
            roots[rank] = tests::state_root_on(program, *backend, data_, kSteps, &crew);
        });
        const auto reference = make_reference_backend();
        const Hash due = tests::state_root_on(program, *reference, data_, kSteps);
        EXPECT_EQ(roots, std::vector<Hash>(2, due)) << micro_batches;
    }
}

/// Whose product it was is known to the others, so that nobody waits for a message.
TEST_F(EmulatedCrew, does_a_step_again_together_where_one_computes_wrongly) {
    emulated::set_devices(2);
    emulated::set_faults({.has_ecc = false, .first_wrong_product = 0});
    Meeting meeting(2);
    EXPECT_EQ(train(meeting, 4, in_process), "");
    emulated::set_faults({});
}

/// Only the second one's memory has no ECC. Its state is lost in each way that ends a step, and all
/// go back to the first one.
TEST_F(EmulatedCrew, gives_up_a_state_together_that_one_of_them_has_lost) {
    emulated::set_devices(2);
    const auto program = program_of(4);
    const Hash due = tests::state_root_on(program, *make_reference_backend(), data_, kSteps);
    const auto run = [&](bool is_linked, uint32_t at, const auto& change) {
        Meeting meeting(2);
        run_workers(meeting, [&](uint32_t rank, Crew& crew) {
            const auto backend = cuda::make_cuda_backend(
                static_cast<int>(rank), nullptr, cuda::Products::int8, cuda::ProductBlocks::all, 1,
                rank == 1 ? cuda::Checksums::always : cuda::Checksums::never);
            auto linked = is_linked ? cuda::link_devices(crew, *backend, in_process)
                                    : Result<std::unique_ptr<Crew>, std::string>(nullptr);
            ASSERT_TRUE(linked);
            Crew& used = is_linked ? **linked : crew;
            auto engine = Engine::make(program, *backend, data_);
            for (const bool is_again : {false, true}) {
                ModelState state = make_initial_state(program, Hash{}, data_);
                auto live = LiveState::load(*backend, program, state);
                ASSERT_TRUE(engine && live);
                const auto error = train_state(*engine, *live, used, [&](uint32_t i) {
                    if (!is_again && rank == 1 && i == at) change(state, *live);
                });
                EXPECT_EQ(error,
                          is_again ? std::nullopt : std::optional(EngineError::state_changed))
                    << rank;
                EXPECT_EQ(state.step, is_again ? kSteps : at);
                EXPECT_TRUE(!is_again || *state_root(*live, program_id(program)) == due);
            }
        });
    };
    for (const bool is_linked : {true, false}) {
        for (const uint32_t at : {0U, 1U})
            run(is_linked, at, [](const ModelState&, const LiveState& live) {
                tests::flip(live, {1, tests::Place::middle, 5});
            });
        run(is_linked, 0, [](const ModelState& state, const LiveState& live) {
            uint32_t gain = 0;
            while (state.w[gain].data.back() != 1.0F) ++gain;
            tests::flip_word(live.w().at(gain), 30);  // an Inf: training seems to diverge
        });
    }
}

TEST_F(EmulatedCrew, passes_gradients_from_device_to_device_alone) {
    struct Share {
        uint32_t workers, micro_batches, sets_each;  ///< that a worker sends in a step
    };
    for (const Share& s : {Share{2, 4, 1}, Share{2, 6, 3}, Share{3, 6, 1}}) {
        emulated::set_devices(static_cast<int>(s.workers));
        Meeting meeting(s.workers);
        const emulated::Traffic before = emulated::traffic();
        EXPECT_EQ(train(meeting, s.micro_batches, in_process), "");
        const size_t set_bytes = 4 * plan(program_of(s.micro_batches))->parameter_count;
        const size_t loaded_bytes = s.workers * 3 * set_bytes;  // w, m and v at the start
        EXPECT_LT(emulated::traffic().down - before.down, set_bytes / 2);
        EXPECT_LT(emulated::traffic().up - before.up, loaded_bytes + set_bytes / 2);
        const size_t first_message = 1;
        EXPECT_EQ(meeting.devices.sent[0].size(), 0U);
        for (uint32_t rank = 1; rank < s.workers; ++rank) {
            EXPECT_EQ(meeting.devices.sent[rank].size(), first_message + s.sets_each * kSteps);
            EXPECT_EQ(meeting.hosts.sent[rank].size(), 0U);
        }
        EXPECT_EQ(meeting.devices.shared.size(), first_message + kSteps);
        EXPECT_EQ(meeting.destroyed, s.workers);
    }
}

TEST_F(EmulatedCrew, goes_through_the_host_where_nccl_is_missing) {
    emulated::set_devices(2);
    Meeting meeting(2);
    const auto load = [] {
        const bool is_there = worker->rank() == 0;
        return is_there ? in_process() : unexpected(std::string("no library"));
    };
    EXPECT_EQ(train(meeting, 4, load), "process 1: no library");
}

TEST_F(EmulatedCrew, goes_through_the_host_where_two_share_a_device) {
    emulated::set_devices(2);
    Meeting meeting(3);
    EXPECT_EQ(train(meeting, 6, in_process),
              "processes 0 and 2 share one GPU, start as many processes as there are GPUs");
}

TEST_F(EmulatedCrew, goes_through_the_host_where_nccl_does_not_start) {
    emulated::set_devices(3);
    nccl_faults.no_id = true;
    Meeting without_id(3);
    EXPECT_EQ(train(without_id, 6, in_process),
              "process 0: ncclGetUniqueId failed, a system error");
    nccl_faults = {.start_of = 1};
    Meeting without_one(3);
    EXPECT_EQ(train(without_one, 6, in_process),
              "process 1: ncclCommInitRank failed, a system error");
    EXPECT_EQ(without_one.aborted, 2U);
}

TEST_F(EmulatedCrew, goes_through_the_host_where_a_first_message_fails) {
    emulated::set_devices(2);
    nccl_faults = {.shares_after = 0};
    Meeting without_message(2);
    EXPECT_EQ(train(without_message, 4, in_process),
              "process 0: a first message failed, a system error");
    EXPECT_EQ(without_message.aborted, 2U);
    nccl_faults = {.changes_messages = true};
    Meeting with_another(2);
    EXPECT_EQ(train(with_another, 4, in_process), "process 0: a first message came changed");
}

TEST_F(EmulatedCrew, links_nothing_where_hosts_compute) {
    Meeting on_hosts(2), mixed(2);
    run_workers(on_hosts, [&](uint32_t, Crew& crew) {
        const auto backend = make_reference_backend();
        const auto linked = cuda::link_devices(crew, *backend, in_process);
        EXPECT_TRUE(linked && *linked == nullptr);
    });
    run_workers(mixed, [&](uint32_t rank, Crew& crew) {
        const auto backend = rank == 0 ? cuda::make_cuda_backend(0) : make_reference_backend();
        const auto linked = cuda::link_devices(crew, *backend, in_process);
        ASSERT_FALSE(linked);
        EXPECT_EQ(linked.error(), "process 1: computes on its CPU");
    });
}

TEST_F(EmulatedCrew, ends_the_step_when_a_message_fails) {
    emulated::set_devices(2);
    nccl_faults.shares_after = 1;
    const auto program = program_of(4);
    Meeting meeting(2);
    run_workers(meeting, [&](uint32_t rank, Crew& crew) {
        const auto backend = cuda::make_cuda_backend(static_cast<int>(rank));
        const auto linked = cuda::link_devices(crew, *backend, in_process);
        ASSERT_TRUE(linked && *linked);
        auto engine = Engine::make(program, *backend, data_);
        ASSERT_TRUE(engine);
        ModelState state = make_initial_state(program, Hash{}, data_);
        EXPECT_EQ(run_step(*engine, state, data_, linked->get()).error(),
                  EngineError::device_failed);
        EXPECT_EQ(state.step, 0U);
    });
    EXPECT_EQ(meeting.aborted, 2U);
}

}  // namespace

defmodule Rhizome.OptionsTest do
  use ExUnit.Case, async: true

  alias Rhizome.Options

  test "defaults are filled in and what is unset stays away" do
    options = Options.validate!([], :start)
    assert options.timeout == 5_000
    assert options.memory_limit == :infinity
    refute Map.has_key?(options, :name)
  end

  test "each wrong value is named, with what would be right" do
    for {option, wrong, accepts} <- [
          {:name, "string", "an atom"},
          {:name, nil, "an atom"},
          {:executable, :path, "a path"},
          {:memory_limit, 0, "bytes or :infinity"},
          {:memory_limit, "1G", "bytes or :infinity"},
          {:memory_limit, 2 ** 63, "bytes or :infinity"},
          {:frame_bytes_max, 1_023, "from 1 KiB to 1 GiB"},
          {:frame_bytes_max, 2 ** 30 + 1, "from 1 KiB to 1 GiB"},
          {:busy_wait_us, -1, "microseconds from 0 to 10000"},
          {:busy_wait_us, 10_001, "microseconds from 0 to 10000"},
          {:timeout, -1, "milliseconds or :infinity"},
          {:timeout, 2 ** 32, "at most 4294967295"},
          {:start_timeout, 2 ** 32, "milliseconds, at most"},
          {:shutdown_timeout, 2 ** 32, "milliseconds, at most"},
          {:start_timeout, :infinity, "milliseconds"},
          {:shutdown_timeout, nil, "milliseconds"},
          {:max_in_flight, 0, "a positive integer"},
          {:max_in_flight_bytes, 1.5, "bytes"},
          {:dir, "", "path of a directory"},
          {:dir, "a\0b", "path of a directory"},
          {:dir, :data, "path of a directory"},
          {:dir, [], "path of a directory"},
          {:dir, [:data], "path of a directory"},
          {:sync, :never, ":always, {:interval, ms}"},
          {:sync, {:interval, 0}, "1 to 3600000 ms"},
          {:sync, 1_000, ":none"},
          {:checkpoint, :never, "ratio:"},
          {:checkpoint, [ratio: 0], "above 0 or :never"},
          {:checkpoint, [ratio: 1, ratio: 2], "keyword list"},
          {:checkpoint, [at_stop: 1], "at_stop:"},
          {:checkpoint, [when: :never], "min_bytes:"},
          {:segment_bytes, 65_535, "64 KiB to 512 MiB"}
        ] do
      error = assert_raise ArgumentError, fn -> Rhizome.start_link([{option, wrong}]) end
      assert error.message =~ "option #{inspect(option)} must be"
      assert error.message =~ accepts
      assert error.message =~ inspect(wrong)
    end
  end

  test "what the daemon takes at most is taken" do
    for {option, greatest} <- [
          memory_limit: 2 ** 63 - 1,
          frame_bytes_max: 2 ** 30,
          busy_wait_us: 0,
          busy_wait_us: 10_000,
          timeout: 2 ** 32 - 1,
          start_timeout: 2 ** 31 - 1,
          shutdown_timeout: 2 ** 31 - 1
        ] do
      {:ok, store} = Rhizome.start_link([{option, greatest}])
      assert Rhizome.ping(store) == :ok
      assert Rhizome.stop(store) == :ok
    end
  end

  test "a directory is expanded, and what is for one does without none" do
    assert Options.validate!([dir: "data/../store"], :start).dir == Path.expand("store")
    assert Options.validate!([], :start).dir == nil
    assert Options.validate!([dir: nil, sync: :always], :start).dir == nil

    for option <- [sync: :always, checkpoint: [ratio: :never], segment_bytes: 65_536] do
      assert_raise ArgumentError, ~r/give its :dir, too/, fn -> Rhizome.child_spec([option]) end
    end
  end

  test "a directory is any path, expanded when the child is specified" do
    assert Options.validate!([dir: ~c"data/store"], :start).dir == Path.expand("data/store")

    assert Options.validate!([dir: ["data", "/", ~c"store"]], :start).dir ==
             Path.expand("data/store")

    %{start: {Rhizome, :start_link, [options]}} = Rhizome.child_spec(dir: "data", sync: :none)
    assert options == [dir: Path.expand("data"), sync: :none]
    assert %{start: {_, _, [[name: S]]}} = Rhizome.child_spec(name: S)
    assert %{start: {_, _, [[dir: nil]]}} = Rhizome.child_spec(dir: nil)
  end

  test "an idempotency key is no nil" do
    set = Rhizome.handle(NoSuchStore, :s, :set)

    for fun <- [
          &Rhizome.insert(set, 1, &1),
          &Rhizome.create_table(NoSuchStore, :s, :set, &1),
          &Rhizome.run(NoSuchStore, Rhizome.Batch.insert(Rhizome.Batch.new(), set, 1), &1)
        ] do
      assert_raise ArgumentError, ~r/must not be nil; leave the option away/, fn ->
        fun.(idempotency_key: nil)
      end
    end

    assert {:error, %{code: :stopped}} = Rhizome.insert(set, 1, idempotency_key: false)
  end

  test "an unknown option is named, with those that there are" do
    error = assert_raise ArgumentError, fn -> Rhizome.child_spec(nam: A) end
    assert error.message =~ "unknown option :nam"
    assert error.message =~ ":name"
    assert_raise ArgumentError, ~r/keyword list/, fn -> Rhizome.start_link([:name]) end
  end

  test "the child's id is the name, and it has the time to stop" do
    spec = Rhizome.child_spec(name: MyStore, shutdown_timeout: 1_000)
    assert spec.id == MyStore
    assert spec.shutdown > 1_000
    assert Rhizome.child_spec([]).id == Rhizome
  end

  test "the documentation lists every option" do
    docs = Options.docs(:start)

    for option <- ~w(name executable memory_limit max_in_flight dir sync checkpoint)a,
        do: assert(docs =~ inspect(option))

    assert docs =~ "64 MiB"
  end
end

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
          {:timeout, -1, "milliseconds or :infinity"},
          {:start_timeout, :infinity, "milliseconds"},
          {:shutdown_timeout, nil, "milliseconds"},
          {:max_in_flight, 0, "a positive integer"},
          {:max_in_flight_bytes, 1.5, "bytes"}
        ] do
      error = assert_raise ArgumentError, fn -> Rhizome.start_link([{option, wrong}]) end
      assert error.message =~ "option #{inspect(option)} must be"
      assert error.message =~ accepts
      assert error.message =~ inspect(wrong)
    end
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

    for option <- ~w(name executable memory_limit max_in_flight)a,
        do: assert(docs =~ inspect(option))

    assert docs =~ "64 MiB"
  end
end

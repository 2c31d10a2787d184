#!/usr/bin/env escript
%% Judges term_text(): reads lines `HEX <tab> TEXT` from the file that is
%% named, where HEX is an external term, and checks that Erlang's own scanner
%% and parser take TEXT for that very term. Prints the lines for which it is
%% not so, and ends with their number (at most 100) as its status.

main([File]) ->
    {ok, Bytes} = file:read_file(File),
    Lines = binary:split(Bytes, <<"\n">>, [global, trim_all]),
    Wrong = [Line || Line <- Lines, not agrees(Line)],
    [io:format("~ts~n", [Line]) || Line <- lists:sublist(Wrong, 5)],
    io:format("~b terms, ~b wrong~n", [length(Lines), length(Wrong)]),
    halt(min(length(Wrong), 100)).

agrees(Line) ->
    [Hex, Text] = binary:split(Line, <<"\t">>),
    Term = binary_to_term(<<131, (unhex(Hex))/binary>>),
    try read(Text) of
        Read -> Read =:= Term
    catch
        _:_ -> false
    end.

read(Text) ->
    Characters = unicode:characters_to_list(Text) ++ ".",
    {ok, Tokens, _} = erl_scan:string(Characters),
    {ok, Term} = erl_parse:parse_term(Tokens),
    Term.

unhex(<<A, B, Rest/binary>>) ->
    <<(list_to_integer([A, B], 16)), (unhex(Rest))/binary>>;
unhex(<<>>) ->
    <<>>.
